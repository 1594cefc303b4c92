//! The picture of a conversation: its geometry, its escapes, its colors, and the example in the documentation.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashMap;

use starttls_proto::Side;
use starttls_report::Language;
use starttls_report::diagram::{
    Crossing, Diagram, DiagramRow, HandshakeResult, Mark, RowContent, Theme, When,
};
use starttls_report::html::{self, Html};

const HOSTILE: &str = "<script>alert(1)</script>]]>\"'&\u{202e}\u{1b}[31m\r\n\0";

fn row(at: f64, content: RowContent) -> DiagramRow {
    DiagramRow { when: When::Milliseconds(at), content, ..DiagramRow::default() }
}

fn message(at: f64, from: Side, inside_tls: bool, lines: &[&str]) -> DiagramRow {
    let lines = lines.iter().map(|&line| line.to_owned()).collect();
    row(at, RowContent::Message { from, inside_tls, lines, octets: None })
}

/// Returns a server that keeps a command that arrived before TLS, and answers it inside TLS.
fn injection() -> Diagram {
    let mut rows = vec![
        row(0.4, RowContent::Event(String::from("connected to 192.0.2.25:25"))),
        message(11.8, Side::Server, false, &[r"220 mail.example.com ESMTP\r\n"]),
        message(12.0, Side::Client, false, &[r"EHLO [192.0.2.1]\r\n"]),
        message(
            12.6,
            Side::Server,
            false,
            &[
                r"250-mail.example.com\r\n",
                r"250-PIPELINING\r\n",
                r"250-STARTTLS\r\n",
                r"250 SIZE 10240000\r\n",
            ],
        ),
        message(12.9, Side::Client, false, &[r"STARTTLS\r\n", r"NOOP probe-7f3a\r\n"]),
        message(13.5, Side::Server, false, &[r"220 2.0.0 Ready to start TLS\r\n"]),
        row(
            13.6,
            RowContent::Boundary {
                handshake: HandshakeResult::Done,
                facts: vec![String::from("TLS 1.3 · X25519MLKEM768"), String::from("certificate: verified")],
            },
        ),
        message(18.2, Side::Server, true, &[r"250 2.0.0 OK\r\n"]),
        message(18.3, Side::Client, true, &[r"EHLO [192.0.2.1]\r\n"]),
        message(18.9, Side::Server, true, &[r"250-mail.example.com\r\n", r"250 AUTH PLAIN\r\n"]),
    ];
    for index in [4, 7] {
        rows[index].is_evidence = true;
    }
    rows[4].marks.push(Mark { text: String::from("srv-inject-eager"), target: None });
    Diagram {
        language: Language::English,
        title: String::from("A command that crosses the boundary"),
        names: [String::from("client"), String::from("mail.example.com")],
        rows,
        crossings: vec![Crossing { from: 4, to: 7, text: String::from("crossed the boundary") }],
    }
}

/// Returns a diagram with text that is hostile, long, wide, or missing.
fn hostile() -> Diagram {
    let long = "x".repeat(5000);
    let wide = "漢".repeat(300);
    let many: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut rows = vec![
        row(0.0, RowContent::Event(HOSTILE.to_owned())),
        message(1.0, Side::Client, false, &[HOSTILE]),
        message(5001.0, Side::Server, false, &[&long, &wide]),
        message(5002.0, Side::Client, false, &many),
        message(5003.0, Side::Server, false, &[]),
        row(
            5004.0,
            RowContent::Boundary {
                handshake: HandshakeResult::Failed,
                facts: vec![HOSTILE.to_owned(), long.clone()],
            },
        ),
        row(f64::NAN, RowContent::Event(wide.clone())),
    ];
    for row in &mut rows {
        row.is_evidence = true;
        row.marks = vec![Mark { text: long.clone(), target: Some(HOSTILE.to_owned()) }; 5];
    }
    let crossing = |from, to| Crossing { from, to, text: wide.clone() };
    Diagram {
        language: Language::English,
        title: HOSTILE.to_owned(),
        names: [wide.clone(), long],
        rows,
        crossings: vec![crossing(1, 3), crossing(2, 6), crossing(7, 900)],
    }
}

/// Returns the attributes of the elements, and checks that the image is well-formed.
fn elements(svg: &str) -> Vec<HashMap<String, String>> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let elements = document.descendants().filter(roxmltree::Node::is_element);
    let attributes = |node: roxmltree::Node<'_, '_>| {
        let mut all: HashMap<String, String> =
            node.attributes().map(|it| (it.name().to_owned(), it.value().to_owned())).collect();
        all.insert(String::from("element"), node.tag_name().name().to_owned());
        all.insert(String::from("text"), node.text().unwrap_or_default().to_owned());
        all
    };
    elements.map(attributes).collect()
}

#[test]
fn everything_is_inside_of_the_image() {
    for diagram in [injection(), hostile(), Diagram::default()] {
        let elements = elements(&diagram.to_svg(Theme::Auto));
        let height: i64 = elements[0]["height"].parse().unwrap();
        for it in &elements {
            let number = |name: &str| it.get(name).map(|value| value.parse::<i64>().unwrap());
            for (at, size, limit) in [("x", "width", 960), ("y", "height", height)] {
                if let Some(start) = number(at) {
                    let end = start + number(size).unwrap_or(0);
                    assert!(start >= 0 && end <= limit, "{it:?}");
                }
            }
            if it["element"] == "text" {
                let columns: i64 = it["text"].chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
                // The proportional font is smaller than the monospaced one.
                let width = columns * if it["class"] == "said" { 8 } else { 7 };
                let x = number("x").unwrap();
                let (left, right) = match it.get("text-anchor").map(String::as_str) {
                    Some("middle") => (x - width / 2, x + width / 2),
                    Some("end") => (x - width, x),
                    _ => (x, x + width),
                };
                assert!(left >= -8 && right <= 968, "{left} to {right}: {it:?}");
            }
        }
    }
}

#[test]
fn messages_do_not_overlap() {
    for diagram in [injection(), hostile()] {
        let elements = elements(&diagram.to_svg(Theme::Light));
        let said = elements.iter().filter(|it| it.get("class").is_some_and(|class| class == "said"));
        let places: Vec<i64> = said.map(|it| it["y"].parse().unwrap()).collect();
        assert!(places.windows(2).all(|two| two[1] - two[0] >= 17), "{places:?}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let diagram = hostile();
    let mut page = Html::default();
    page.append(&diagram.figure("p", "t"));
    page.append(&diagram.list(Some("t")));
    for markup in [diagram.to_svg(Theme::Dark), html::page(Language::English, HOSTILE, &page)] {
        assert!(markup.contains("&lt;script&gt;") && !markup.contains("<script"));
        assert!(!markup.contains(|c: char| c.is_control() && c != '\n'));
        assert!(!markup.contains(['\u{202e}', '\0']));
    }
}

#[test]
fn the_description_says_what_the_picture_shows() {
    assert_eq!(
        injection().description(),
        "5 messages in cleartext, then the start of TLS, then 3 messages inside TLS. Marked: crossed the boundary, \
         srv-inject-eager"
    );
    assert_eq!(Diagram::default().description(), "0 messages in cleartext, no TLS");
}

#[test]
fn a_long_wait_is_shown() {
    let svg = hostile().to_svg(Theme::Auto);
    assert!(svg.contains("5.0 s waiting"), "{svg}");
    assert!(!injection().to_svg(Theme::Auto).contains("waiting"));
}

/// Styles in elements would be refused by the Content-Security-Policy of the page.
#[test]
fn the_picture_in_a_page_has_no_style_of_its_own() {
    let figure = injection().figure("p", "t");
    assert!(!figure.as_str().contains("style"));
    let page = html::page(Language::English, "title", &figure);
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(!page.contains("unsafe-inline"));
}

/// WCAG 2.2 criteria 1.4.3 and 1.4.11: 4.5 for text.
#[test]
fn the_contrast_of_all_colors_is_sufficient() {
    let themes = html::STYLE.split("@media (prefers-color-scheme: dark)");
    for theme in themes.take(2) {
        let block = theme.split('}').next().unwrap();
        let colors: HashMap<&str, &str> = block
            .split(['{', ';'])
            .filter_map(|rule| rule.trim().strip_prefix("--")?.split_once(": "))
            .collect();
        for (text, grounds) in [
            ("ink", &["card", "page", "code", "warn-tint", "good-tint", "bad-tint"][..]),
            ("soft", &["card", "page", "code", "warn-tint", "good-tint"]),
            ("link", &["card", "page", "warn-tint", "good-tint"]),
            ("warn", &["card", "warn-tint"]),
            ("good", &["card", "good-tint"]),
            ("bad", &["card", "bad-tint", "warn-tint", "good-tint"]),
            ("card", &["bad"]),
        ] {
            for ground in grounds {
                let ratio = contrast(colors[text], colors[ground]);
                assert!(ratio >= 4.5, "--{text} on --{ground}: {ratio:.2}");
            }
        }
    }
}

fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |color: &str| {
        let digits = color.strip_prefix('#').unwrap();
        let channel = |at: usize| {
            let hex = match digits.len() {
                3 => digits[at..=at].repeat(2),
                _ => digits[2 * at..2 * at + 2].to_owned(),
            };
            let value = f64::from(u8::from_str_radix(&hex, 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn the_picture_in_the_documentation_is_up_to_date() {
    let path = format!("{}/../../docs/crossing.svg", env!("CARGO_MANIFEST_DIR"));
    let svg = injection().to_svg(Theme::Auto);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::write(&path, &svg).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == svg, "docs/crossing.svg is out of date: run this test with UPDATE_PICTURES=1");
}
