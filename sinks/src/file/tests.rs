use super::writer::{WriteError, Writer};
use super::*;
use std::fs;
use std::path::Path;
use tidegate_core::testkit::sink as kit;

fn sink(dir: &Path, more: &str) -> FileSink {
    let text = format!(r#"{{"dir":{}{more}}}"#, serde_json::to_string(dir).unwrap());
    FileSink::build("acme", "archive", &serde_json::from_str(&text).unwrap(), Clock::system()).unwrap()
}

fn batch(sink: &FileSink, documents: &[&str]) -> Batch {
    let documents: Vec<_> =
        documents.iter().enumerate().map(|(n, text)| (format!("id-{n}"), (*text).to_owned())).collect();
    kit::batch(sink, &kit::NAMES, &documents)
}

/// All files of a directory, by name: contents.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn contents(dir: &Path) -> String {
    files(dir).into_iter().map(|(_, text)| text).collect()
}

#[tokio::test]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    kit::takes_what_it_is_given(&sink(dir.path(), "")).await;
    assert_eq!(contents(dir.path()).lines().count(), 21);
}

#[tokio::test]
async fn writes_one_document_a_line_and_renames_at_close() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(&dir.path().join("made/here"), "");
    let documents = batch(&sink, &["{\"a\":1}", "{\n \"b\": 2\r\n}"]);
    let delivery = sink.deliver(&documents).await.unwrap();
    assert_eq!(delivery.delivered, 2);
    let at = dir.path().join("made/here");
    let [(name, text)] = files(&at).try_into().unwrap();
    assert!(name.starts_with("acme.archive.") && name.ends_with(".0001.ndjson.part"), "{name}");
    assert_eq!(text, "{\"a\":1}\n{  \"b\": 2  }\n");
    sink.close().await;
    let [(name, text)] = files(&at).try_into().unwrap();
    assert!(name.ends_with(".0001.ndjson"), "{name}");
    assert_eq!(text.lines().count(), 2);
    sink.close().await;
}

#[tokio::test]
async fn a_half_line_is_cut_when_the_file_is_taken_up_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("acme.archive.20260115T100000Z.0001.ndjson.part");
    let whole = "{\"n\":0}\n".repeat(20_000);
    fs::write(&part, format!("{whole}{}", "x".repeat(150_000))).unwrap();
    let sink = sink(dir.path(), r#","rotate_age":"36500d""#);
    let delivery = sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap();
    assert!(delivery.warnings.iter().any(|w| w.contains("150000 bytes")), "{delivery:?}");
    assert_eq!(fs::read_to_string(&part).unwrap(), format!("{whole}{{\"n\":1}}\n"));
}

#[tokio::test]
async fn whole_lines_and_other_peoples_files_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let others = [
        "acme.archive_two.20260115T100000Z.0001.ndjson.part",
        "northwind.archive.20260115T100000Z.0001.ndjson.part",
        "acme.archive.20260115T100000Z.0001.ndjson",
        "acme.archive.notes.ndjson.part",
    ];
    for name in others {
        fs::write(dir.path().join(name), "half a li").unwrap();
    }
    fs::write(dir.path().join("acme.archive.20260115T100000Z.0002.ndjson.part"), "{}\n").unwrap();
    fs::write(dir.path().join("acme.archive.20260115T100001Z.0001.ndjson.part"), "{}\n").unwrap();
    let sink = sink(dir.path(), r#","rotate_age":"36500d""#);
    sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap();
    let files = files(dir.path());
    for name in others {
        assert!(files.contains(&(name.to_owned(), "half a li".to_owned())), "{name} in {files:?}");
    }
    assert!(files.contains(&("acme.archive.20260115T100000Z.0002.ndjson".into(), "{}\n".into())));
    assert!(
        files.contains(&("acme.archive.20260115T100001Z.0001.ndjson.part".into(), "{}\n{\"n\":1}\n".into()))
    );
}

#[tokio::test]
async fn a_final_name_that_exists_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(dir.path(), "");
    sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap();
    let [(part, _)] = files(dir.path()).try_into().unwrap();
    let taken = dir.path().join(part.strip_suffix(".part").unwrap());
    fs::write(&taken, "somebody else's").unwrap();
    sink.close().await;
    assert_eq!(fs::read_to_string(&taken).unwrap(), "somebody else's");
    assert_eq!(files(dir.path()).len(), 2);
    assert!(contents(dir.path()).contains("{\"n\":1}"));
}

#[tokio::test]
async fn rotates_by_size_before_it_would_grow_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(dir.path(), r#","rotate_bytes":"20B""#);
    for _ in 0..3 {
        sink.deliver(&batch(&sink, &["{\"n\":12345}"])).await.unwrap();
    }
    let files = files(dir.path());
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|(_, text)| text == "{\"n\":12345}\n"));
    assert_eq!(files.iter().filter(|(name, _)| name.ends_with(".part")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn finishes_an_old_file_although_nothing_more_comes() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(dir.path(), r#","rotate_age":"1h""#);
    sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap();
    for _ in 0..1_000 {
        if files(dir.path()).iter().all(|(name, _)| name.ends_with(".ndjson")) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    unreachable!("the file was never finished");
}

#[tokio::test]
async fn batches_in_flight_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(sink(dir.path(), ""));
    let mut tasks = Vec::new();
    for n in 0..8 {
        let sink = Arc::clone(&sink);
        tasks.push(tokio::spawn(async move {
            let line = format!("{{\"n\":{n}}}");
            sink.deliver(&batch(&sink, &[line.as_str(); 50])).await.unwrap()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().delivered, 50);
    }
    let text = contents(dir.path());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 400);
    for run in lines.chunks(50) {
        assert!(run.iter().all(|line| line == &run[0]), "batches are interleaved");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_keeps_everything_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("acme.archive.20260115T100000Z.0001.ndjson.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let sink = sink(dir.path(), r#","rotate_age":"36500d""#);
    for _ in 0..2 {
        let error = sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap_err();
        assert!(matches!(error, DeliverError::Retry { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("No space left") && text.contains("acme.archive"), "{text}");
    }
    fs::remove_file(&part).unwrap();
    assert_eq!(sink.deliver(&batch(&sink, &["{\"n\":1}"])).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_halts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for at in [file.clone(), file.join("below")] {
        let sink = sink(&at, "");
        let error = sink.deliver(&batch(&sink, &["{}"])).await.unwrap_err();
        assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
        assert_eq!(sink.check().await.faults.len(), 1);
    }
}

#[test]
fn rights_halt_and_space_is_waited_for() {
    use std::io::ErrorKind;
    for (kind, halts) in [
        (ErrorKind::PermissionDenied, true),
        (ErrorKind::ReadOnlyFilesystem, true),
        (ErrorKind::NotADirectory, true),
        (ErrorKind::StorageFull, false),
        (ErrorKind::QuotaExceeded, false),
        (ErrorKind::Other, false),
    ] {
        let error = WriteError::at("cannot write", Path::new("var/out"))(kind.into()).verdict();
        assert_eq!(matches!(error, DeliverError::Halt { .. }), halts, "{kind:?}");
    }
}

#[tokio::test]
async fn a_second_process_is_kept_off() {
    let dir = tempfile::tempdir().unwrap();
    let first = sink(dir.path(), "");
    first.deliver(&batch(&first, &["{\"n\":1}"])).await.unwrap();
    let second = sink(dir.path(), "");
    let error = second.deliver(&batch(&second, &["{\"n\":2}"])).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    first.close().await;
    assert_eq!(second.deliver(&batch(&second, &["{\"n\":2}"])).await.unwrap().delivered, 1);
}

#[test]
fn a_check_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("a/b");
    let writer = Writer::new(at.clone(), "acme.archive".into(), 1, Clock::system());
    assert!(writer.check().unwrap().contains("will be made"));
    assert!(!at.exists());
}

#[test]
fn settings_name_the_key() {
    for (table, key) in [
        (r"{}", "dir"),
        (r#"{"dir":"out","rotate_bytes":1}"#, "rotate_bytes"),
        (r#"{"dir":"out","rotate_bytes":"0B"}"#, "rotate_bytes"),
        (r#"{"dir":"out","rotate_age":"0s"}"#, "rotate_age"),
        (r#"{"dir":"out","path":"x"}"#, "path"),
    ] {
        let table = serde_json::from_str(table).unwrap();
        let error = FileSink::build("acme", "archive", &table, Clock::system()).err().unwrap();
        assert_eq!(error.key, key, "{error}");
    }
}

#[test]
fn the_readme_has_every_key() {
    settings::check_option_table::<Config>(
        include_str!("README.md"),
        &schemars::schema_for!(Config),
        serde_json::json!({ "dir": "out" }),
    );
}
