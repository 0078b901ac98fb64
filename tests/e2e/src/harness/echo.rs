//! A server that sends back what it was sent, as something else each time: the worst that an endpoint can do with
//! credentials.

use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the request comes back as.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// 200 and a web page.
    Page,
    /// 500 and a web page.
    Broken,
    /// A redirect to it.
    Redirect,
    /// A refusal of EC2 with this code.
    Ec2(&'static str),
    /// A refusal of an API server with this status.
    Kubernetes(u16),
}

/// A running one; it ends when it is dropped.
pub struct EchoServer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl EchoServer {
    /// Starts one on a free port of this machine; it answers in these forms, one after the other.
    pub async fn start(forms: &'static [Form]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            for form in forms.iter().cycle() {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(answer(stream, *form, Arc::clone(&kept)));
            }
        });
        Ok(Self { url, asked, serving })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests had this in them.
    pub fn heard(&self, text: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|request| request.contains(text)).count()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, form: Form, asked: Arc<Mutex<Vec<String>>>) -> Result<()> {
    let request = read(&mut stream).await?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    stream.write_all(said(form, &request).as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// A request up to the end of its headers, and what came of its body with them.
async fn read(stream: &mut TcpStream) -> Result<String> {
    let (mut request, mut part) = (Vec::new(), vec![0; 16 * 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await? {
            0 => break,
            n => request.extend_from_slice(&part[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

fn said(form: Form, request: &str) -> String {
    let page = || format!("<html><body>{request}</body></html>");
    let (status, type_, body) = match form {
        Form::Page => (200, "text/html", page()),
        Form::Broken => (500, "text/html", page()),
        Form::Redirect => (301, "text/plain", request.to_owned()),
        Form::Ec2(code) => {
            let message = request.replace('&', "&amp;").replace('<', "&lt;");
            let error = format!("<Code>{code}</Code><Message>{message}</Message>");
            (400, "text/xml", format!("<Response><Errors><Error>{error}</Error></Errors></Response>"))
        }
        Form::Kubernetes(code) => {
            let status = serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
                "reason": "Forbidden", "message": request,
            });
            (code, "application/json", status.to_string())
        }
    };
    let text: String = request.chars().filter(char::is_ascii_alphanumeric).collect();
    let location = if matches!(form, Form::Redirect) { format!("Location: /{text}\r\n") } else { String::new() };
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {type_}\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
