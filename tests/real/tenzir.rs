//! Tenzir, which reads LEEF, listens as Splunk's HTTP Event Collector does, and takes syslog. Too large for each change:
//! `.ci/nightly` prepares it.

use serde_json::Value;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program.
pub const PROGRAM: &str = "TIDEGATE_REAL_TENZIR";

/// A start takes 3 s where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a pipeline prints, one object a line.
pub fn objects(program: &Path, pipeline: &str) -> Vec<Value> {
    let output = Command::new(program).arg(pipeline).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pipeline}: {}: {complaint}", output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A pipeline that listens on loopback, gone when it is dropped.
pub struct Receiver {
    home: TempDir,
    pub port: u16,
    child: Child,
}

impl Receiver {
    /// Starts a pipeline in which `PORT` and `HOME` stand for its port and the folder with `files`, and waits until it listens.
    pub fn start(program: &Path, pipeline: &str, files: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let pipeline = pipeline.replace("PORT", &port.to_string());
        let pipeline = pipeline.replace("HOME", &home.path().display().to_string());
        let out = File::create(home.path().join("out")).unwrap();
        let err = File::create(home.path().join("err")).unwrap();
        let child =
            Command::new(program).arg(pipeline).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        let mut receiver = Self { home, port, child };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = receiver.child.try_wait().unwrap() {
                panic!("it ended with {status}\n{}", receiver.complaint());
            }
            assert!(Instant::now() < end, "it does not listen\n{}", receiver.complaint());
            std::thread::sleep(Duration::from_millis(50));
        }
        receiver
    }

    /// What it printed, once there are so many objects.
    pub fn printed(&self, count: usize) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.home.path().join("out")).unwrap();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let objects: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if objects.len() >= count {
                return objects;
            }
            assert!(Instant::now() < end, "{} of {count}\n{}", objects.len(), self.complaint());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn complaint(&self) -> String {
        std::fs::read_to_string(self.home.path().join("err")).unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
