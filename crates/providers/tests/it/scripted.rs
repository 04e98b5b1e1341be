//! A server that answers each connection with the next of the given bytes, for what no well-behaved server sends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// The server's address and the requests it got, as text.
pub(crate) struct Scripted {
    pub(crate) root: Url,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Serves `answers` in turn, then closes connections unanswered.
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        Self::serve(answers, false).await
    }

    /// As `start`, but leaves the connections of its answers open, as if more would come.
    pub(crate) async fn start_unfinished(answers: Vec<Vec<u8>>) -> Self {
        Self::serve(answers, true).await
    }

    #[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
    async fn serve(answers: Vec<Vec<u8>>, unfinished: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            let mut left_open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 64 * 1024];
                let mut length = 0;
                while !complete(&buffer[..length]) {
                    match stream.read(&mut buffer[length..]).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => length += read,
                    }
                }
                seen.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                if let Some(answer) = answers.pop_front() {
                    let _ = stream.write_all(&answer).await;
                    if unfinished {
                        left_open.push(stream);
                        continue;
                    }
                }
                let _ = stream.shutdown().await;
            }
        });
        Self { root, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
