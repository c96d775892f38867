//! Text that is safe to show or to paste.

/// `text` as one word of a POSIX shell.
#[must_use]
pub fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` without control characters: a terminal would obey them.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[ -~\\n\u{e9}]{0,40}") {
            let script = format!("printf %s {}", shell(&text));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            proptest::prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn what_is_visible_commands_nothing() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\r\u{9b}d é"), "a[2Jbcd é");
    }
}
