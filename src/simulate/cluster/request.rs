//! A request to the API server, read from its path.

use http::Method;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Group and version, `v1` for the core group.
    pub api: String,
    /// Plural of the kind.
    pub plural: String,
    /// Namespace, if it names one.
    pub namespace: Option<String>,
    /// Name of the object, if it names one.
    pub name: Option<String>,
    /// Subresource of the object, if it names one.
    pub sub: Option<String>,
    /// The query, as it came.
    pub query: String,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads a request; `None` for a path that is none of an API server's resources.
    pub fn read(method: &Method, uri: &http::Uri, body: Vec<u8>) -> Option<Self> {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty()).peekable();
        let api = match parts.next()? {
            "api" => parts.next()?.to_owned(),
            "apis" => format!("{}/{}", parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut first = parts.next()?.to_owned();
        let mut namespace = None;
        if first == "namespaces" && parts.peek().is_some() {
            namespace = parts.next().map(str::to_owned);
            parts.next()?.clone_into(&mut first);
        }
        let (name, sub) = (parts.next().map(str::to_owned), parts.next().map(str::to_owned));
        let query = uri.query().unwrap_or_default().to_owned();
        Some(Self { method: method.clone(), api, plural: first, namespace, name, sub, query, body })
    }

    /// The key of the object that it names.
    pub fn key(&self) -> String {
        super::table::key(self.namespace.as_deref(), self.name.as_deref().unwrap_or_default())
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
    }

    /// The request in a few words, for a log.
    pub fn words(&self) -> String {
        let sub = self.sub.as_ref().map(|sub| format!("/{sub}")).unwrap_or_default();
        format!("{} {}{sub} {}", self.method, self.plural, self.key())
    }
}

/// Takes off the escapes of a query.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(b'0'));
                let digits = String::from_utf8_lossy(&digits).into_owned();
                out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_an_api_server_reads_them() {
        let read = |uri: &str| Request::read(&Method::GET, &uri.parse().expect("a URI"), vec![]);
        let node = read("/api/v1/nodes/win-1").expect("a request");
        assert_eq!((node.api.as_str(), node.plural.as_str(), node.key().as_str()), ("v1", "nodes", "win-1"));
        let log = read("/api/v1/namespaces/a/pods/p/log?&limitBytes=3").expect("a request");
        assert_eq!((log.key().as_str(), log.sub.as_deref()), ("a/p", Some("log")));
        assert_eq!(log.parameter("limitBytes").as_deref(), Some("3"));
        let ours = read("/apis/windlass.dev/v1alpha1/nodeupdates?&labelSelector=a%3Db%2C%21c").expect("a request");
        assert_eq!((ours.api.as_str(), ours.name.as_deref()), ("windlass.dev/v1alpha1", None));
        assert_eq!(ours.parameter("labelSelector").as_deref(), Some("a=b,!c"));
        assert_eq!(read("/version"), None);
    }
}
