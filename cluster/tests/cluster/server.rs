//! An HTTP server on a loopback port that answers from a script and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ovncilium_cluster::{Connection, KubeCluster};
use serde_json::Value;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /api/v1/pods?limit=500`.
    pub(crate) line: String,
    /// Header lines in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// Status, further headers, body; status 0 cuts the connection.
pub(crate) struct Reply(pub(crate) u16, pub(crate) &'static [&'static str], pub(crate) String);

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `script` gets the number of the request, from 0, and the request.
    pub(crate) fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let number = {
                    let mut log = log.lock().expect("the log");
                    log.push(request.clone());
                    log.len() - 1
                };
                answer(stream, script(number, &request));
            }
        });
        Self { url, seen }
    }

    /// Answers one thing to everything.
    pub(crate) fn always(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_, _| Reply(status, &[], body.clone()))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log").clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn connect(&self) -> KubeCluster {
        connect(&self.url, Connection::default())
    }
}

/// A connection to `url` that reads no kubeconfig of this machine.
pub(crate) fn connect(url: &str, connection: Connection) -> KubeCluster {
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let connection =
        Connection { kubeconfig: Some(empty.path().to_owned()), server: Some(url.to_owned()), ..connection };
    KubeCluster::connect(&connection.open().expect("a connection")).expect("a client")
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let line = first.trim().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        headers.push(header.trim().to_ascii_lowercase());
    }
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, headers, body: String::from_utf8(body).ok()? })
}

fn answer(mut stream: TcpStream, Reply(status, headers, body): Reply) {
    if status == 0 {
        return;
    }
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
}
