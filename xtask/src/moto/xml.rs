//! As much of EC2's XML as the front reads and writes. The writer of what it reads is moto, whose form is fixed.

/// The text between two marks, from the first place where the first is.
pub(super) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let from = text.find(open)? + open.len();
    let length = text.get(from..)?.find(close)?;
    text.get(from..from + length)
}

/// The text of the first element of this name.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    between(text, &format!("<{name}>"), &format!("</{name}>"))
}

/// The texts of all elements of this name.
pub(super) fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let open = format!("<{name}>");
    text.split(&open).skip(1).filter_map(|rest| rest.split("</").next()).collect()
}

/// A text as content of an element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An answer of EC2 to a call.
pub(super) fn answer(action: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15\">\
         <requestId>front</requestId>{content}</{action}Response>"
    )
}

/// A refusal of EC2.
pub(super) fn refusal(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{}</Message></Error>\
         </Errors><RequestID>front</RequestID></Response>",
        escaped(message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found() {
        let text = "<a><b>1</b><c/><b>2</b></a>";
        assert_eq!(element(text, "b"), Some("1"));
        assert_eq!(elements(text, "b"), ["1", "2"]);
        assert_eq!(element(text, "d"), None);
    }
}
