//! One HEC receiver of the OpenTelemetry Collector on loopback, gone when it is dropped.

use serde_json::Value;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A start takes 0.1 s where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);

pub const TOKEN: &str = "00000000-1111-4222-8333-444444444444";

pub struct HecReceiver {
    home: TempDir,
    port: u16,
    child: Child,
}

impl HecReceiver {
    /// Starts what `setup.sh` has built, with these flags, and waits until it listens. `ack_delay` is a Go duration.
    pub fn start(parts: &Path, ack_delay: &str, flags: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(home.path().join("log")).unwrap();
        let child = Command::new(parts.join("hec-receiver"))
            .args(["-listen", &format!("127.0.0.1:{port}"), "-token", TOKEN, "-out"])
            .arg(home.path().join("events"))
            .args(flags)
            .env("TIDEGATE_ACK_DELAY", ack_delay)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut receiver = Self { home, port, child };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = receiver.child.try_wait().unwrap() {
                panic!("the receiver ended with {status}\n{}", receiver.log());
            }
            assert!(Instant::now() < end, "the receiver does not listen\n{}", receiver.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        receiver
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Everything that it took, in order: `{event, host, source, sourcetype, index, time, fields}`.
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.home.path().join("events")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for HecReceiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
