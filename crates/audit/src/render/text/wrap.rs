//! Wraps lines to the width of a terminal.

/// The smallest width: the columns of evidence need it, also on narrower terminals.
const NARROWEST: usize = 40;

/// Breaks a line at spaces into parts of at most `width` columns, and indents continuation lines by `hang` columns. A
/// word that is longer than a line is broken at its end. Escape sequences (SGR) have no width.
pub(super) fn wrap(line: &str, width: usize, hang: usize) -> String {
    let width = width.max(NARROWEST);
    let hang = hang.min(width / 2);
    let mut out = String::with_capacity(line.len());
    let (mut column, mut is_first) = (0, true);
    for word in line.split_inclusive(' ') {
        let bare = word.trim_end_matches(' ');
        if column + columns(bare) > width && !is_first && !bare.is_empty() {
            out.truncate(out.trim_end_matches(' ').len());
            column = broken(&mut out, hang);
        }
        let mut escape = false;
        for c in word.chars() {
            escape |= c == '\x1b';
            if !escape && column >= width && c != ' ' {
                column = broken(&mut out, hang);
            }
            out.push(c);
            column += usize::from(!escape);
            escape &= c != 'm';
        }
        // Leading spaces are the indentation.
        is_first &= bare.is_empty();
    }
    out.truncate(out.trim_end_matches(' ').len());
    out
}

/// Starts a new line and returns its column.
fn broken(out: &mut String, hang: usize) -> usize {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', hang));
    hang
}

fn columns(word: &str) -> usize {
    let mut escape = false;
    let visible = |c: &char| {
        escape |= *c == '\x1b';
        let counts = !escape;
        escape &= *c != 'm';
        counts
    };
    word.chars().filter(visible).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_keep_their_indentation() {
        let line =
            "      fix: Issue the certificate for every name that clients use, or change their settings";
        let wrapped = wrap(line, 44, 11);
        assert_eq!(
            wrapped,
            "      fix: Issue the certificate for every\n           \
             name that clients use, or change\n           their settings"
        );
        assert_eq!(wrap("a short line", 80, 4), "a short line");
        assert_eq!(wrap("", 80, 4), "");
    }

    #[test]
    fn long_words_break_at_the_end_of_the_line() {
        let wrapped = wrap(&"x".repeat(100), 40, 4);
        let lengths: Vec<_> = wrapped.lines().map(str::len).collect();
        assert_eq!(lengths, [40, 40, 28]);
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("    x")));
    }

    #[test]
    fn colors_have_no_width() {
        let painted = format!("\x1b[1;31m{}\x1b[0m {}", "a".repeat(20), "b".repeat(19));
        assert_eq!(wrap(&painted, 40, 4), painted);
    }
}
