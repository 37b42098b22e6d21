//! A model that answers in no time of its own, after the milliseconds that the path of a request begins with.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::words::words;

/// Words of an answer.
const WORDS: usize = 300;

static ANSWERS: AtomicUsize = AtomicUsize::new(0);

#[tokio::main]
pub(crate) async fn serve() -> Result<(), Box<dyn Error>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    // All clients connect at once.
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?);
    let text: &str = words(WORDS, 1).leak();
    loop {
        let (socket, _) = listener.accept().await?;
        // A client that goes away is no failure.
        tokio::spawn(async move { answer(socket, text).await.ok() });
    }
}

/// Answers the requests of one connection.
async fn answer(mut socket: TcpStream, text: &str) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.split();
    let mut reader = BufReader::with_capacity(32 * 1024, reader);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let (mut latency, mut length) = (0, 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let field = line.trim_end().to_ascii_lowercase();
            if let Some(path) = field.strip_prefix("post /") {
                latency = path.split('/').next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
            } else if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            } else if field.is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).await?;
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        writer.write_all(&reply(&body, text)).await?;
    }
}

/// So many answers as the request asks for, no two of them equal; in the tags of an update where it names them.
fn reply(body: &[u8], text: &str) -> Vec<u8> {
    let has = |words: &[u8]| body.windows(words.len()).any(|window| window == words);
    let is_update = has(b"</IMPROVED_VARIABLE>");
    let n = body.windows(4).position(|window| window == b"\"n\":").and_then(|at| body.get(at + 4));
    let n = n.map_or(1, |digit| usize::from(digit.saturating_sub(b'0')).max(1));
    let (open, close) = match is_update {
        true => ("<IMPROVED_VARIABLE>\\n", "\\n</IMPROVED_VARIABLE>"),
        false => ("", ""),
    };
    let choices: Vec<String> = (0..n)
        .map(|index| {
            let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
            format!(
                r#"{{"index":{index},"message":{{"role":"assistant","content":"{open}{number} {text}{close}"}},"finish_reason":"stop"}}"#
            )
        })
        .collect();
    let body = format!(
        r#"{{"id":"1","object":"chat.completion","created":0,"model":"fake","choices":[{}],"usage":{{"prompt_tokens":100,"completion_tokens":100,"total_tokens":200}}}}"#,
        choices.join(",")
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut reply = head.into_bytes();
    reply.extend_from_slice(body.as_bytes());
    reply
}
