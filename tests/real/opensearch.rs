//! One OpenSearch on loopback: started on free ports, killed and started again at will, gone when it is dropped.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A start takes about 10 s where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct OpenSearch {
    parts: PathBuf,
    home: TempDir,
    ports: [u16; 2],
    child: Child,
}

impl OpenSearch {
    /// Starts one out of what `setup.sh` has prepared, and waits until it works.
    pub fn start(parts: &Path) -> Self {
        let home = TempDir::with_prefix_in("home-", parts).unwrap();
        let ports = free_ports();
        let child = spawn(parts, ports, home.path());
        let mut server = Self { parts: parts.to_owned(), home, ports, child };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// kill -9, and a new process with the same data on the same ports.
    pub fn kill_and_start(&mut self) {
        self.end();
        self.child = spawn(&self.parts, self.ports, self.home.path());
        self.wait();
    }

    /// One request with JSON; the status and the answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.try_call(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// The same, of which only 200 is right.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Documents taken since the process began.
    pub fn indexed(&self) -> u64 {
        self.indexing("index_total")
    }

    /// Documents refused since the process began; conflicts, where nothing else is wrong with them.
    pub fn refused(&self) -> u64 {
        self.indexing("index_failed")
    }

    fn indexing(&self, what: &str) -> u64 {
        let path = "/_stats/indexing?expand_wildcards=all";
        self.ask("GET", path, None)["_all"]["primaries"]["indexing"][what].as_u64().unwrap_or_default()
    }

    /// Every document of a data stream, read back by query: id, index, source.
    pub fn documents(&self, stream: &str) -> Vec<(String, String, Value)> {
        self.ask("POST", &format!("/{stream}/_refresh"), None);
        let query = json!({ "size": 500, "sort": ["_doc"], "query": { "match_all": {} } });
        let mut page = self.ask("POST", &format!("/{stream}/_search?scroll=1m"), Some(&query));
        let mut found = Vec::new();
        loop {
            let hits = page["hits"]["hits"].as_array().unwrap();
            if hits.is_empty() {
                return found;
            }
            let text = |hit: &Value, key: &str| hit[key].as_str().unwrap().to_owned();
            found.extend(
                hits.iter().map(|hit| (text(hit, "_id"), text(hit, "_index"), hit["_source"].clone())),
            );
            let next = json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] });
            page = self.ask("POST", "/_search/scroll", Some(&next));
        }
    }

    fn wait(&mut self) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}\n{}", self.log());
            }
            let path = "/_cluster/health?wait_for_status=yellow&timeout=5s";
            if let Ok((200, health)) = self.try_call("GET", path, None)
                && health["timed_out"] == json!(false)
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("the server is not ready after {PATIENCE:?}\n{}", self.log());
    }

    fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[0]))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(broken)?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        Ok((status, serde_json::from_slice(&answer[end + 4..]).unwrap_or(Value::Null)))
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log(self.home.path())).unwrap_or_default()
    }
}

impl Drop for OpenSearch {
    fn drop(&mut self) {
        self.end();
    }
}

/// Its standard input is a pipe from here: it ends with this process, however that ends.
fn spawn(parts: &Path, ports: [u16; 2], home: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log(home)).unwrap();
    Command::new(super::beside("opensearch/run.sh"))
        .arg(parts)
        .args(ports.map(|port| port.to_string()))
        .arg(home)
        .env("JAVA_OPTIONS", "-Dend.with.stdin=true")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn log(home: &Path) -> PathBuf {
    home.join("server.log")
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
