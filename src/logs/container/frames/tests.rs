use super::*;

const ONE: &str = "2026-11-22T07:00:01.000000001Z";
const TWO: &str = "2026-11-22T07:00:02.000000000Z";
const SECOND: i64 = 1_795_330_801;

fn frame(output: u8, text: &str) -> Vec<u8> {
    let mut frame = vec![output, 0, 0, 0];
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// The lines of a stream that comes in pieces of this length.
fn lines(is_terminal: bool, stream: &[u8], piece: usize) -> Vec<(Option<i64>, String)> {
    let mut demux = Demux::new(is_terminal);
    let mut lines = Vec::new();
    let mut each = |line: &Line<'_>, _| lines.push((line.stamp, String::from_utf8_lossy(line.text).into_owned()));
    for piece in stream.chunks(piece) {
        demux.feed(piece, &mut each).unwrap();
    }
    demux.finish(&mut each);
    lines
}

fn texts(is_terminal: bool, stream: &[u8]) -> Vec<String> {
    lines(is_terminal, stream, usize::MAX).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn lines_are_the_same_wherever_the_stream_comes_apart() {
    let stream = [
        frame(1, &format!("{ONE} one\n")),
        frame(2, &format!("{ONE} er")),
        frame(1, &format!("{TWO} two\n{TWO} three\n")),
        frame(2, "ror\n"),
        frame(1, ""),
        frame(0, "no time\n"),
    ]
    .concat();
    let stamp = SECOND * 1_000_000_000;
    let wanted = [
        (Some(stamp + 1), "one"),
        (Some(stamp + 1_000_000_000), "two"),
        (Some(stamp + 1_000_000_000), "three"),
        (Some(stamp + 1), "error"),
        (None, "no time"),
    ]
    .map(|(stamp, text)| (stamp, text.to_owned()));
    for piece in 1..=stream.len() {
        assert_eq!(lines(false, &stream, piece), wanted, "{piece}");
    }
}

#[test]
fn pieces_of_a_long_line_are_joined_and_their_times_left_out() {
    let piece = "x".repeat(PIECE);
    let framed =
        [frame(1, &format!("{ONE} {piece}")), frame(1, &format!("{ONE} {piece}")), frame(1, &format!("{ONE} end\n"))];
    let wanted = [format!("{piece}{piece}end")];
    assert_eq!(texts(false, &framed.concat()), wanted);
    let terminal = format!("{ONE} {piece}{ONE} {piece}{ONE} end\r\n");
    assert_eq!(texts(true, terminal.as_bytes()), wanted);
}

#[test]
fn a_line_without_an_end_is_one_when_another_begins_behind_it() {
    let stream = [frame(1, &format!("{ONE} killed he")), frame(1, &format!("{TWO} started\n"))].concat();
    assert_eq!(texts(false, &stream), ["killed he", "started"]);
    assert_eq!(texts(false, &frame(2, &format!("{ONE} last words"))), ["last words"]);
}

#[test]
fn a_line_beyond_the_cap_is_cut_and_the_next_is_whole() {
    let piece = "x".repeat(PIECE);
    let mut stream: Vec<u8> = (0..50).flat_map(|_| frame(1, &format!("{ONE} {piece}"))).collect();
    stream.extend(frame(1, &format!("{ONE}  end\n{TWO} next\n")));
    let found = texts(false, &stream);
    assert!(found[0].len() > MAX_LINE && found[0].len() < 2 * MAX_LINE, "{}", found[0].len());
    assert_eq!(found[1..], ["next"]);
}

#[test]
fn the_earliest_line_that_has_not_ended_is_told() {
    let mut demux = Demux::new(false);
    let mut open = Vec::new();
    let stream = [frame(2, &format!("{ONE} begun")), frame(1, &format!("{TWO} whole\n")), frame(2, "\n")].concat();
    demux.feed(&stream, &mut |_, earliest| open.push(earliest)).unwrap();
    assert_eq!(open, [Some(SECOND * 1_000_000_000 + 1), None]);
}

#[test]
fn what_docker_itself_says_is_no_line() {
    let mut demux = Demux::new(false);
    demux.feed(&frame(3, "Error grabbing logs: EOF\n"), &mut |_, _| unreachable!()).unwrap();
    assert_eq!(demux.complaint(), Some("Error grabbing logs: EOF"));
}

#[test]
fn what_is_not_a_frame_ends_the_reading() {
    for stream in [b"HTTP/1.1".to_vec(), vec![4, 0, 0, 0, 0, 0, 0, 1], vec![1, 0, 0, 0, 255, 0, 0, 0]] {
        let failure = Demux::new(false).feed(&stream, &mut |_, _| {}).unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol);
    }
}
