use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn read(body: &str) -> Option<Result<Vec<f64>, String>> {
    answer::read(body.as_bytes())
}

#[test]
fn answers_are_read_strictly() {
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"job":"a"},"value":[1700000000.1,"0.25"]},{"metric":{},"value":[1700000000.1,"+Inf"]}]}}"#;
    assert_eq!(read(vector), Some(Ok(vec![0.25, f64::INFINITY])));
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(read(empty), Some(Ok(vec![])));
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"3"]}}"#;
    assert_eq!(read(scalar), Some(Ok(vec![3.0])));
    let nan = r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"NaN"]}}"#;
    assert!(read(nan).is_some_and(|values| values.is_ok_and(|values| values[0].is_nan())));
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    assert!(matches!(read(matrix), Some(Err(why)) if why.contains("neither a vector nor a scalar")));
    let error = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": unexpected end"}"#;
    assert!(matches!(read(error), Some(Err(why)) if why.contains("unexpected end")));
    for other in ["", "<html>It works!</html>", "{}", r#"{"status":"success"}"#, r#"{"accessKey":"x"}"#] {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn only_plain_addresses_are_asked() {
    let told = |address: &str| url(address, "up").map(|url| url.to_string());
    assert_eq!(told("http://prometheus:9090/").as_deref(), Ok("http://prometheus:9090/api/v1/query?query=up"));
    assert_eq!(told("https://p.example/mimir").as_deref(), Ok("https://p.example/mimir/api/v1/query?query=up"));
    for bad in [
        "ftp://prometheus",
        "http://user:secret@prometheus",
        "http://169.254.169.254",
        "http://[fe80::1]:9090",
        "http://[::ffff:169.254.169.254]",
        "http://[fd00:ec2::254]",
        "http://168.63.129.16",
        "http://0.0.0.0:9090",
        "http://2852039166",
        "nonsense",
    ] {
        let refused = told(bad).expect_err(bad);
        assert!(!refused.contains("secret"), "{refused}");
    }
}

/// A server that gives this answer once.
async fn serving(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    address
}

#[tokio::test]
async fn redirects_are_not_followed_and_strange_answers_not_shown() {
    let prometheus = Prometheus::new().expect("a client");
    let asked = async |answer| {
        let address = serving(answer).await;
        let error = prometheus.query(&address, "up").await.map_err(|error| error.to_string());
        error.map_err(|error| error.replace(&address, "A"))
    };
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(asked(moved).await, Err("A: no answer of a Prometheus, HTTP status 302".to_owned()));
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret";
    assert_eq!(asked(page).await, Err("A: no answer of a Prometheus, HTTP status 200".to_owned()));
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 77\r\nConnection: close\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1700000000,\"3\"]}}";
    assert_eq!(asked(good).await, Ok(vec![3.0]));
    let nobody = prometheus.query("http://127.0.0.1:1", "up").await.expect_err("nobody listens");
    assert!(nobody.to_string().starts_with("http://127.0.0.1:1: "), "{nobody}");
}
