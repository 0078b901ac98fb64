//! What AWS refuses with, and what that means to the contract.

use super::call::Call;
use crate::ports::ProviderError;
use reqwest::StatusCode;
use serde::Deserialize;

/// A refusal as AWS words it. EC2 and STS answer in XML, KMS in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
}

#[derive(Deserialize)]
struct Ec2Body {
    #[serde(rename = "Errors")]
    errors: Ec2Errors,
}

#[derive(Deserialize)]
struct Ec2Errors {
    #[serde(rename = "Error")]
    error: XmlError,
}

#[derive(Deserialize)]
struct StsBody {
    #[serde(rename = "Error")]
    error: XmlError,
}

#[derive(Deserialize)]
struct XmlError {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

#[derive(Deserialize)]
struct JsonError {
    #[serde(rename = "__type")]
    type_: String,
    #[serde(rename = "message", alias = "Message", default)]
    message: String,
}

impl Refusal {
    /// The refusal in a body; none when there is none in it.
    pub(super) fn parse(body: &str) -> Option<Self> {
        let xml = quick_xml::de::from_str::<Ec2Body>(body).map(|body| body.errors.error);
        let xml = xml.or_else(|_| quick_xml::de::from_str::<StsBody>(body).map(|body| body.error));
        if let Ok(XmlError { code, message }) = xml {
            return Some(Self { code, message });
        }
        let JsonError { type_, message } = serde_json::from_str(body).ok()?;
        // `com.amazonaws.kms#NotFoundException` in some of its answers.
        let code = type_.rsplit('#').next().unwrap_or_default().to_owned();
        Some(Self { code, message })
    }

    /// What may be done about it (EC2 Developer Guide, "Error codes for the Amazon EC2 API"; KMS API Reference, "Common
    /// errors").
    pub(super) fn class(&self, status: StatusCode) -> Class {
        match self.code.as_str() {
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "EC2ThrottledException"
            | "SlowDown"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "SnapshotCreationPerVolumeRateExceeded" => Class::Throttled,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "AuthFailure"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "InvalidIdentityToken" => Class::Credentials,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "OptInRequired"
            | "PendingVerification"
            | "Blocked"
            | "IDPRejectedClaim" => Class::Denied,
            "SnapshotLimitExceeded" | "VolumeLimitExceeded" | "ResourceLimitExceeded" | "MaxIOPSLimitExceeded" => {
                Class::Quota
            }
            // Snapshots in work at once: it passes when one of them ends. The others: something else is under way.
            "ConcurrentSnapshotLimitExceeded"
            | "PendingSnapshotLimitExceeded"
            | "PriorRequestNotComplete"
            | "IncorrectInstanceState"
            | "IncorrectState"
            | "InvalidSnapshot.InUse"
            | "VolumeInUse"
            | "ResourceInUse"
            | "InsufficientInstanceCapacity"
            | "InsufficientVolumeCapacity"
            | "Server.InternalError"
            | "InternalError"
            | "InternalFailure"
            | "KMSInternalException"
            | "DependencyTimeoutException"
            | "Unavailable"
            | "ServiceUnavailable"
            | "IDPCommunicationError" => Class::Passing,
            code if code.ends_with(".NotFound") || code == "NotFoundException" => Class::NotFound,
            _ if status.is_server_error() => Class::Passing,
            _ => Class::Permanent,
        }
    }

    /// The refusal in the contract's words. Some of its texts change from try to try (an encoded authorization message),
    /// those are left out.
    pub(super) fn meaning(self, call: Call, class: Class) -> ProviderError {
        let said = format!("{}: {}", call.action(), self.sentence());
        match class {
            Class::Throttled => ProviderError::Throttled { retry_after: super::client::RETRY_DEFAULT },
            Class::Credentials => ProviderError::Denied(format!("AWS does not take the credentials: {}", self.code)),
            Class::Denied => {
                ProviderError::Denied(format!("{}:{} ({})", call.service().name(), call.action(), self.code))
            }
            Class::Quota => ProviderError::Quota(said),
            Class::Passing => ProviderError::Transient(said),
            Class::NotFound => ProviderError::NotFound(said),
            Class::Permanent => ProviderError::Permanent(said),
        }
    }

    fn sentence(&self) -> String {
        if self.message.is_empty() { self.code.clone() } else { format!("{}, {}", self.code, self.message) }
    }
}

/// What may be done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing was done. To be asked again, more slowly.
    Throttled,
    /// Nothing was done. Other credentials may do.
    Credentials,
    /// Somebody has to allow it.
    Denied,
    /// There is no room.
    Quota,
    /// It may pass by itself.
    Passing,
    /// What was named is not there.
    NotFound,
    /// It would not pass.
    Permanent,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As moto 5.2.5 answers; the shapes are those of botocore's parsers for `ec2`, `query` and `json`.
    const EC2: &str = r#"<?xml version="1.0" encoding="utf-8"?>
        <Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15"><Errors><Error><Code>InvalidSnapshot.NotFound</Code>
        <Message/></Error></Errors><RequestID>request-id</RequestID></Response>"#;
    const STS: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
        <Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error>
        <RequestId>r</RequestId></ErrorResponse>"#;
    const KMS: &str = r#"{"__type": "com.amazonaws.kms#NotFoundException", "message": "Invalid keyId 'x'"}"#;

    #[test]
    fn a_refusal_is_read_in_each_dialect() {
        let code = |body| Refusal::parse(body).map(|refusal| refusal.code);
        assert_eq!(code(EC2).as_deref(), Some("InvalidSnapshot.NotFound"));
        assert_eq!(code(STS).as_deref(), Some("ExpiredToken"));
        assert_eq!(code(KMS).as_deref(), Some("NotFoundException"));
        for none in ["", "<html><body>It works!</body></html>", "{}", "<Response></Response>", "<Response><Err"] {
            assert_eq!(Refusal::parse(none), None, "{none}");
        }
    }

    #[test]
    fn every_code_means_something_to_the_contract() {
        let class = |code: &str, status: u16| {
            let refusal = Refusal { code: code.to_owned(), message: String::new() };
            refusal.class(StatusCode::from_u16(status).expect("a status"))
        };
        for (code, status, want) in [
            ("RequestLimitExceeded", 503, Class::Throttled),
            ("AuthFailure", 401, Class::Credentials),
            ("UnauthorizedOperation", 403, Class::Denied),
            ("SnapshotLimitExceeded", 400, Class::Quota),
            ("ConcurrentSnapshotLimitExceeded", 400, Class::Passing),
            ("IncorrectInstanceState", 400, Class::Passing),
            ("InvalidInstanceID.NotFound", 400, Class::NotFound),
            ("InvalidInstanceID.Malformed", 400, Class::Permanent),
            ("SomethingNew", 400, Class::Permanent),
            ("SomethingNew", 500, Class::Passing),
        ] {
            assert_eq!(class(code, status), want, "{code}");
        }
    }

    #[test]
    fn a_denial_names_the_action_and_not_the_encoded_message() {
        let message = "You are not authorized. Encoded authorization failure message: 7GfJ1x".to_owned();
        let refusal = Refusal { code: "UnauthorizedOperation".to_owned(), message };
        let text = refusal.meaning(Call::CreateSnapshots, Class::Denied).to_string();
        assert_eq!(text, "denied: ec2:CreateSnapshots (UnauthorizedOperation)");
    }
}
