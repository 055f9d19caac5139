//! One rsyslog or syslog-ng on loopback: started on free ports, killed and started again at will, gone when it is dropped.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Both start within a second where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each of them is told first; no message of a test.
const HELLO: &[u8] = b"<13>1 2026-01-15T10:00:00.000Z test - - - - hello\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Rsyslog,
    SyslogNg,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Newlines; rsyslog takes counts there as well.
    Tcp,
    Tls,
    Counted,
    Udp,
}

pub struct Receiver {
    parts: PathBuf,
    product: Product,
    home: TempDir,
    ports: [u16; 4],
    child: Child,
}

impl Receiver {
    /// Starts one out of what `setup.sh` has prepared, and waits until it listens. `files` are the certificates: `ca.pem`,
    /// `server.pem`, `server.key`.
    pub fn start(parts: &Path, product: Product, files: &[(&str, &str)]) -> Self {
        let home = TempDir::with_prefix_in("home-", parts).unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let ports = free_ports();
        let template = match product {
            Product::Rsyslog => "syslog/rsyslog.conf",
            Product::SyslogNg => "syslog/syslog-ng.conf",
        };
        let mut text = std::fs::read_to_string(super::beside(template)).unwrap();
        for (name, port) in ["TCP", "TLS", "COUNTED", "UDP"].iter().zip(ports) {
            text = text.replace(&format!("({name})"), &format!("({port})"));
            text = text.replace(&format!("\"{name}\""), &format!("\"{port}\""));
        }
        let text = text.replace("HOME", &home.path().display().to_string());
        std::fs::write(home.path().join("config"), text).unwrap();
        let child = spawn(parts, product, home.path());
        let mut receiver = Self { parts: parts.to_owned(), product, home, ports, child };
        receiver.wait();
        receiver
    }

    pub fn address(&self, port: Port) -> SocketAddr {
        let number = match (port, self.product) {
            (Port::Tcp, _) | (Port::Counted, Product::Rsyslog) => self.ports[0],
            (Port::Tls, _) => self.ports[1],
            (Port::Counted, Product::SyslogNg) => self.ports[2],
            (Port::Udp, _) => self.ports[3],
        };
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    /// kill -9, and a new process on the same ports that writes on in the same file.
    pub fn kill_and_start(&mut self) {
        self.end();
        self.child = spawn(&self.parts, self.product, self.home.path());
        self.wait();
    }

    /// What has arrived and was written: whole lines.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let bytes = self.raw();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes[..whole]
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| *line != HELLO)
            .map(|line| line[..line.len() - 1].to_vec())
            .collect()
    }

    fn raw(&self) -> Vec<u8> {
        std::fs::read(self.home.path().join("raw.log")).unwrap_or_default()
    }

    /// Waits until this holds of what was written.
    pub fn until(&mut self, what: &str, holds: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let messages = self.messages();
            if holds(&messages) {
                return messages;
            }
            assert!(
                Instant::now() < end,
                "not within {PATIENCE:?}: {what}; {} messages\n{}",
                messages.len(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !is_listening(self.address(Port::Tcp).port()) || !is_listening(self.address(Port::Tls).port()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the receiver ended with {status}\n{}", self.log());
            }
            assert!(Instant::now() < end, "the receiver does not listen after {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        // rsyslog 8.2302 closes each TLS connection's descriptor twice. If it opens its file in between, the file has that number,
        // is closed with it, and what it writes then goes to whoever connects next. So the file is opened first.
        let before = self.raw().len();
        TcpStream::connect(self.address(Port::Tcp)).unwrap().write_all(HELLO).unwrap();
        while self.raw().len() == before {
            assert!(Instant::now() < end, "it wrote nothing within {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("receiver.log")).unwrap_or_default()
    }
}

/// Whether somebody listens on this port, by the kernel's table: `sl local_address rem_address st …`, 0A is LISTEN.
fn is_listening(port: u16) -> bool {
    let ours = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&ours)) && words.nth(1) == Some("0A")
    })
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(parts: &Path, product: Product, home: &Path) -> Child {
    let log = File::options().create(true).append(true).open(home.join("receiver.log")).unwrap();
    let name = match product {
        Product::Rsyslog => "rsyslog",
        Product::SyslogNg => "syslog-ng",
    };
    Command::new(super::beside("syslog/run.sh"))
        .arg(parts)
        .arg(name)
        .arg(home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn free_ports() -> [u16; 4] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [tcp, tls, counted] = listeners.map(|listener| listener.local_addr().unwrap().port());
    [tcp, tls, counted, datagrams.local_addr().unwrap().port()]
}
