//! What is shown on a terminal: texts of people's files are in it, and are not to command it.

/// The text with its control characters spelled out (`\u{1b}`), but for the ends of its lines.
pub(super) fn text(text: &str) -> String {
    spelled(text, |c| c.escape_default().to_string())
}

/// The same for JSON, which stays what it is: control characters are in its strings only.
pub(super) fn json(json: &str) -> String {
    spelled(json, |c| format!("\\u{:04x}", u32::from(c)))
}

fn spelled(text: &str, spell: impl Fn(char) -> String) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut all, c| {
        if c.is_control() && c != '\n' {
            all.push_str(&spell(c));
        } else {
            all.push(c);
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(text("a\u{1b}[31mred\r\nb\u{9b}ü"), "a\\u{1b}[31mred\\r\nb\\u{9b}ü");
        let shown = json("{\n\"a\": \"\u{9b}\u{7f}\"\n}");
        assert_eq!(shown, "{\n\"a\": \"\\u009b\\u007f\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["a"], "\u{9b}\u{7f}");
    }
}
