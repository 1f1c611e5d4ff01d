//! Files that are renamed, cut, compressed.

use super::{MATCHES, ROTATIONS, Site, TRUNCATIONS, append, until};
use std::fs;

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let site = Site::new();
    let (log, old) = (site.file("app.log"), site.file("app.log.1"));
    append(&log, "ERROR 1\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    append(&log, "ERROR 2\n");
    fs::rename(&log, &old).unwrap();
    append(&log, "ERROR 3\n");
    // Its writer has not reopened yet.
    append(&old, "ERROR 4\n");
    until(&banken, MATCHES, 4.0).await;
    until(&banken, ROTATIONS, 1.0).await;
    until(&banken, TRUNCATIONS, 0.0).await;
}

#[tokio::test]
async fn of_a_file_that_is_copied_and_cut_what_the_copy_has_is_not_counted_again() {
    let site = Site::new();
    let (log, copy) = (site.file("app.log"), site.file("app.log.1"));
    append(&log, "ERROR 1\nERROR 2\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 2.0).await;
    fs::copy(&log, &copy).unwrap();
    fs::write(&log, "").unwrap();
    append(&log, "ERROR 3\n");
    until(&banken, MATCHES, 3.0).await;
    until(&banken, TRUNCATIONS, 1.0).await;
    append(&log, "ERROR 4\n");
    until(&banken, MATCHES, 4.0).await;
}

#[tokio::test]
async fn compressed_files_are_left_alone_but_are_part_of_the_volume() {
    let site = Site::new();
    append(&site.file("app.log"), "ERROR 1\n");
    fs::write(site.file("app.log.2.gz"), "ERROR in what only looks compressed\n").unwrap();
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    until(&banken, r#"banken_log_volume_bytes{log="app"}"#, 44.0).await;
    until(&banken, r#"banken_log_size_bytes{log="app"}"#, 8.0).await;
}

#[tokio::test]
async fn a_line_beyond_the_cap_is_counted_and_those_after_it_are_read() {
    let site = Site::new();
    let long = [b"ERROR ".as_slice(), &vec![b'x'; 300_000], b" ERROR\n", b"ERROR \xff\xfe not UTF-8\n"].concat();
    append(&site.file("app.log"), long);
    let banken = site.start().await;
    until(&banken, MATCHES, 2.0).await;
    until(&banken, r#"banken_log_long_lines_total{log="app"}"#, 1.0).await;
}
