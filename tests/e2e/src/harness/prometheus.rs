//! A Prometheus of which a story says what it answers.

use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running one; it ends when it is dropped.
pub struct FakePrometheus {
    url: String,
    value: Arc<Mutex<Option<f64>>>,
    serving: JoinHandle<()>,
}

impl FakePrometheus {
    /// Starts one on a free port of this machine. It has no data.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let value = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&value);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let value = *shown.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(answer(stream, value));
            }
        });
        Ok(Self { url, value, serving })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on every query gives this value.
    pub fn set(&self, value: f64) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl Drop for FakePrometheus {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, value: Option<f64>) -> Result<()> {
    let mut request = vec![0; 16 * 1024];
    let read = stream.read(&mut request).await?;
    let asked = String::from_utf8_lossy(request.get(..read).unwrap_or_default()).into_owned();
    let (status, body) = if asked.starts_with("GET /api/v1/query?query=") {
        let series = value.map(|value| serde_json::json!({"metric": {}, "value": [1_700_000_000, value.to_string()]}));
        let series: Vec<_> = series.into_iter().collect();
        let data = serde_json::json!({"resultType": "vector", "result": series});
        ("200 OK", serde_json::json!({"status": "success", "data": data}).to_string())
    } else {
        ("404 Not Found", "no such page".to_owned())
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
