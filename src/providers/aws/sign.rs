//! Signs a request (Signature Version 4) and makes it ready to be sent.

use super::call::Service;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue, Method, Request};
use std::time::SystemTime;

/// A request that is to be signed.
pub(super) struct Unsigned<'a> {
    pub service: Service,
    pub region: &'a str,
    pub url: &'a str,
    /// Headers beside those of the signature.
    pub headers: &'a [(&'static str, String)],
    pub body: String,
}

/// The request without a signature.
///
/// # Errors
/// In words; of what is in the request, nothing.
pub(super) fn plain(unsigned: Unsigned<'_>) -> Result<Request<String>, &'static str> {
    let mut request = Request::builder().method(Method::POST).uri(unsigned.url);
    for (name, value) in unsigned.headers {
        request = request.header(*name, value);
    }
    request.body(unsigned.body).map_err(|_| "the request can not be written")
}

/// The request with its signature.
///
/// # Errors
/// In words; of what is in the request, nothing.
pub(super) fn signed(
    unsigned: Unsigned<'_>,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Request<String>, &'static str> {
    let failed = "the request can not be signed";
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(unsigned.region)
        .name(unsigned.service.name())
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| failed)?
        .into();
    let headers = unsigned.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Bytes(unsigned.body.as_bytes());
    let signable = SignableRequest::new("POST", unsigned.url, headers, body).map_err(|_| failed)?;
    let (instructions, _) = sign(signable, &params).map_err(|_| failed)?.into_parts();
    let mut request = plain(unsigned)?;
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failed)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| failed)?;
        // Not to be printed by whoever prints headers.
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn request(credentials: &Credentials) -> Request<String> {
        let unsigned = Unsigned {
            service: Service::Ec2,
            region: "eu-central-1",
            url: "https://ec2.eu-central-1.amazonaws.com/",
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())],
            body: "Action=DescribeInstances&Version=2016-11-15".to_owned(),
        };
        signed(unsigned, credentials, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)).expect("a request")
    }

    /// The signature is what botocore 1.44.5 (`SigV4Auth`) makes of the same request.
    #[test]
    fn a_request_is_signed_as_botocore_signs_it() {
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", Some("token".into()), None, "test");
        let request = request(&credentials);
        let header = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("x-amz-date"), "20261118T110640Z");
        assert_eq!(header("x-amz-security-token"), "token");
        assert_eq!(header("authorization"), include_str!("sign.expected").trim());
    }

    #[test]
    fn what_is_secret_in_a_request_is_not_printed() {
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", Some("hush".into()), None, "test");
        let shown = format!("{:?}", request(&credentials));
        for secret in ["AKIDEXAMPLE", "wJalrXUtnFEMI", "hush", "Signature="] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
