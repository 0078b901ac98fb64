//! A server that answers everything with 200 and a web page.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\nIt works!";

/// A running one; it ends when it is dropped.
pub struct RubbishServer {
    url: String,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl RubbishServer {
    /// Starts one on a free port of this machine.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(answer(stream));
            }
        });
        Ok(Self { url, asked, serving })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for RubbishServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    // What is asked does not matter, and a request fits into one read.
    let mut request = vec![0; 16 * 1024];
    let _ = stream.read(&mut request).await?;
    stream.write_all(PAGE.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
