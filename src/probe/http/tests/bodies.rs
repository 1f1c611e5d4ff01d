//! Encodings, sizes and ends of bodies.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies_are_inflated_before_they_are_judged_and_measured() {
    let text = "the quick brown fox ".repeat(5000);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(text.as_bytes()).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(text.as_bytes()).unwrap();
    let (first, second) = text.split_at(777);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let padded = [gzip(text.as_bytes()), vec![0; 20]].concat();
    let table = [
        ("gzip", gzip(text.as_bytes())),
        ("X-GZIP", members),
        ("gzip", padded),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("identity", text.clone().into_bytes()),
    ];
    for (coding, body) in table {
        let fake = Fake::saying(answer("200 OK", &format!("content-encoding: {coding}\r\n"), &body)).await;
        for expect in ["body_matches: 'fox $'", ""] {
            let (result, out) = probe(&format!("{{ url: '{}', expect: {{ {expect} }} }}", fake.url())).await;
            assert_eq!(result, Ok(()), "{coding}");
            assert_eq!(value(&out, "_http_body_bytes"), Some(text.len() as f64), "{coding}");
        }
    }
}

#[tokio::test]
async fn a_compressed_body_that_ends_in_the_middle_or_is_corrupt_is_a_protocol_failure() {
    let whole = gzip(b"the quick brown fox jumps over the lazy dog");
    let mut corrupt = whole.clone();
    let last = corrupt.len() - 6;
    corrupt[last] ^= 0xff;
    let cut = &whole[..whole.len() - 9];
    for (body, words) in [(cut, "ends in the middle"), (&corrupt, "is corrupt"), (b"plain text", "is corrupt")] {
        let fake = Fake::saying(answer("200 OK", "content-encoding: gzip\r\n", body)).await;
        let failure = failure(&format!("url: {}", fake.url())).await;
        assert_eq!(failure.reason, Reason::Protocol, "{failure}");
        assert!(failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_only_fails_when_the_body_is_needed() {
    let fake = Fake::saying(answer("200 OK", "content-encoding: br\r\n", "????")).await;
    let (result, out) = probe(&format!("url: {}", fake.url())).await;
    assert_eq!((result, value(&out, "_http_body_bytes")), (Ok(()), Some(4.0)));
    let failure = failure(&format!("{{ url: '{}', expect: {{ body_lacks: x }} }}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Protocol, "{failure}");
}

#[tokio::test]
async fn the_bound_of_the_body_is_exact() {
    for (size, fits) in [(1000, true), (1001, false)] {
        for body in [
            answer("200 OK", "", "x".repeat(size)),
            answer("200 OK", "content-encoding: gzip\r\n", gzip("x".repeat(size).as_bytes())),
        ] {
            let fake = Fake::saying(body).await;
            for more in ["", ", body_lacks: y"] {
                let (result, out) =
                    probe(&format!("{{ url: '{}', expect: {{ max_body: 1000{more} }} }}", fake.url())).await;
                let expected = if fits { Ok(()) } else { Err(Reason::Limit) };
                assert_eq!(result.map_err(|failure| failure.reason), expected, "{size}{more}");
                assert_eq!(value(&out, "_http_status_code"), Some(200.0));
                assert_eq!(value(&out, "_http_body_bytes"), fits.then_some(size as f64));
            }
        }
    }
}

#[tokio::test]
async fn a_gzip_bomb_of_ten_gigabytes_costs_no_more_than_the_bound() {
    // A megabyte of zeros is a kilobyte of gzip; a gzip body may be any number of members.
    let member = gzip(&vec![0; 1 << 20]);
    let fake = Fake::talking(move |mut stream| {
        let member = member.clone();
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n").await;
            pour(&mut stream, &member, 10 * 1024).await;
        }
    })
    .await;
    let started = Instant::now();
    let mut built = build(&format!("{{ url: '{}', expect: {{ body_lacks: x, max_body: 8MiB }} }}", fake.url()));
    let (result, _) = run(&mut built, DEADLINE).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Limit));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(built.body.capacity(), 0, "the buffer of a large body is given back");
}

#[tokio::test]
async fn a_plain_body_of_ten_gigabytes_is_left_at_the_bound() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let fake = Fake::talking(move |mut stream| {
        let tell = tell.lock().unwrap().take();
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n").await;
            let written = pour(&mut stream, &[b'x'; 16384], 10 * 1024 * 64).await;
            let _ = tell.unwrap().send(written);
        }
    })
    .await;
    let failure = failure(&format!("url: {}", fake.url())).await;
    assert_eq!(failure, Failure::new(Reason::Limit, "the body is larger than 1048576 bytes (max_body)"));
    let written = tokio::time::timeout(DEADLINE, told).await.unwrap().unwrap();
    assert!(written < 64 << 20, "the connection was closed, but {written} bytes were taken");
}

#[tokio::test]
async fn chunked_bodies_and_bodies_until_the_end_of_the_connection_are_read_whole() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n";
    for answer in [chunked, "HTTP/1.1 200 OK\r\n\r\nhello world", "HTTP/1.0 200 OK\r\n\r\nhello world"] {
        let fake = Fake::saying(answer).await;
        let (result, out) =
            probe(&format!("{{ url: '{}', expect: {{ body_matches: '^hello world$' }} }}", fake.url())).await;
        assert_eq!((result, value(&out, "_http_body_bytes")), (Ok(()), Some(11.0)), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_text_can_be_matched() {
    let fake = Fake::saying(ok(b"\xff\xfe\x00magic\xff")).await;
    assert_eq!(probe(&format!("{{ url: '{}', expect: {{ body_matches: magic }} }}", fake.url())).await.0, Ok(()));
}
