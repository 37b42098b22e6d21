//! A real NATS server with JetStream, for tests of queues.
#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::PATIENCE;

/// The variable that names the program, where it is not `nats-server` on the path.
const PROGRAM: &str = "NATS_SERVER";
/// The variable that makes a missing program a failure.
const REQUIRED: &str = "NATS_SERVER_REQUIRED";

/// A server on loopback, with its files in a folder. It ends with the test.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// The program of the server; none, with a line that says so, if there is none on this machine.
#[must_use]
pub fn nats_server() -> Option<PathBuf> {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    let found = named.into_iter().chain(on_path()).find(|program| program.is_file());
    if found.is_none() {
        let required = std::env::var_os(REQUIRED).is_some();
        assert!(!required, "expected nats-server on the path or in {PROGRAM}, got none");
        println!("SKIPPED: tests of queues need nats-server on the path or in {PROGRAM}");
    }
    found
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl NatsServer {
    /// Starts a server, with more lines of its configuration and of that of JetStream; none without its program.
    #[must_use]
    pub fn start(folder: &Path, lines: &str, jetstream: &str) -> Option<Self> {
        let program = nats_server()?;
        let folder = folder.join("nats");
        std::fs::create_dir_all(&folder).unwrap();
        let port = free_port();
        let mut server = Self { program, folder, port, child: None };
        server.configure(lines, jetstream);
        server.restart();
        Some(server)
    }

    /// Writes its configuration, for the next start.
    pub fn configure(&self, lines: &str, jetstream: &str) {
        let (port, store) = (self.port, self.folder.display());
        let jetstream = format!("jetstream {{ store_dir: \"{store}\", {jetstream} }}");
        let config =
            format!("listen: \"127.0.0.1:{port}\"\nserver_name: test\n{lines}\n{jetstream}\n");
        std::fs::write(self.folder.join("nats.conf"), config).unwrap();
    }

    /// Starts it again after a kill, with its files.
    pub fn restart(&mut self) {
        let log = std::fs::File::create(self.folder.join("nats.log")).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let begun = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The address of a queue of this name.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("nats://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
