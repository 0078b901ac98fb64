//! Where a URL leads.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;
use percent_encoding::percent_decode_str;

/// How much of a URL is shown, in characters: what went wrong has to fit behind it.
const MAX_SHOWN: usize = 150;

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is https.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, or the scheme's own.
    pub port: u16,
    /// The head of a GET of it, ready to be sent.
    pub(crate) request: String,
}

impl Target {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// What is wrong with it, without a word of it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("neither http nor https".to_owned()),
        };
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let (user, host_and_port) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        let host = uri.host().unwrap_or_default();
        let port = match host_and_port.strip_prefix(host).unwrap_or_default() {
            "" | ":" if secure => 443,
            "" | ":" => 80,
            port => port[1..].parse().map_err(|_| "its port is none")?,
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err("it has no host".to_owned());
        }
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut request = format!("GET {slash}{path} HTTP/1.1\r\nHost: {host_and_port}\r\n");
        request += concat!("User-Agent: windlass-probe/", env!("CARGO_PKG_VERSION"), "\r\nAccept: */*\r\n");
        if let Some(user) = user {
            let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
            let decoded: Vec<u8> = percent_decode_str(&user).collect();
            request.extend(["Authorization: Basic ", &STANDARD.encode(decoded), "\r\n"]);
        }
        request += "Connection: close\r\n\r\n";
        Ok(Self { secure, host, port, request })
    }
}

/// A URL, or a reference to one, as it may be shown: without user info and query, for either may be a secret.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("//") else { return url.chars().take(MAX_SHOWN).collect() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}//{host}{path}").chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, want) in [
            ("http://shop.example", (false, "shop.example", 80)),
            ("https://shop.example/", (true, "shop.example", 443)),
            ("http://shop.example:8080/a?b=c", (false, "shop.example", 8080)),
            ("https://joe:secret@shop.example:/", (true, "shop.example", 443)),
            ("http://[::1]:81/", (false, "::1", 81)),
            ("http://[::1]", (false, "::1", 80)),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!((target.secure, target.host.as_str(), target.port), want, "{url}");
        }
    }

    #[test]
    fn what_is_sent_is_a_get_of_it() {
        let lines = |url: &str| Target::parse(url).expect(url).request.replace("\r\n", "|");
        let plain = lines("http://shop.example:8080/a?b=c#d");
        assert!(plain.starts_with("GET /a?b=c HTTP/1.1|Host: shop.example:8080|User-Agent: "), "{plain}");
        assert!(plain.ends_with("|Connection: close||") && !plain.contains("Authorization"), "{plain}");
        let bare = lines("http://shop.example?b=c");
        assert!(bare.starts_with("GET /?b=c HTTP/1.1|Host: shop.example|"), "{bare}");
        let user = lines("http://joe:s%20t@[::1]/");
        assert!(user.contains("|Host: [::1]|") && user.contains("|Authorization: Basic am9lOnMgdA==|"), "{user}");
    }

    #[test]
    fn secrets_are_not_shown() {
        for (url, want) in [
            ("http://joe:secret@shop.example:80/a/b?token=secret#x", "http://shop.example:80/a/b"),
            ("http://joe@shop.example?token=secret", "http://shop.example"),
            ("/login?token=secret", "/login"),
        ] {
            assert_eq!(shown(url), want, "{url}");
        }
        assert_eq!(shown(&format!("http://a/{}", "b".repeat(2000))).len(), 150);
    }
}
