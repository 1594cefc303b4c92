//! The pages in each language.

use starttls::proto::smtp::SMTP;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_report::Language;

use crate::markup::{TextNode, texts};
use crate::site::{Options, Reply, Site, run};

impl Site {
    /// Opens a page as a browser that prefers a language does.
    async fn get_in(&self, path: &str, language: Language) -> Reply {
        let host = self.address;
        self.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Language: {language}, en;q=0.1\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

/// Returns the texts of a page after checking its language: that of the element `html`, of the header, and of the links to the
/// other languages.
fn checked(page: &Reply, language: Language, path: &str) -> Vec<TextNode> {
    assert_eq!(page.headers["content-language"], language.tag(), "{path}");
    assert!(page.headers["vary"].contains("accept-language"), "{path}: {page:?}");
    let body = &page.body;
    assert!(body.starts_with(&format!("<!DOCTYPE html>\n<html lang=\"{language}\">")), "{path}: {body}");
    for other in Language::ALL {
        let link = format!("lang={other}\" lang=\"{other}\" hreflang=\"{other}\">{}</a>", other.name());
        assert_eq!(body.contains(&link), other != language, "{path}: {link}: {body}");
    }
    let texts = texts(body);
    for text in &texts {
        let is_own = text.language == language.tag();
        assert!(!is_own || !text.text.contains(['{', '`']), "{path}: {}", text.text);
    }
    texts
}

/// Returns whether a text looks like a sentence: two words of lower-case letters.
fn is_sentence(text: &str) -> bool {
    let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| c.is_ascii_punctuation()));
    words.filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase())).count() >= 2
}

#[test]
fn every_page_exists_in_every_language() {
    run(async {
        let rogue = Rogue::start(&SMTP, Weakness::Eager, &Authority::new().unwrap()).unwrap();
        let port = rogue.address().port();
        let allowed = vec!["127.0.0.0/8"];
        let site =
            Site::start(Options { ports: vec![port], allowed, is_public: true, ..Options::default() }).await;
        let target = format!("smtp://127.0.0.1:{port}");
        let first = site.audited(&target).await;
        let second = site.audited(&target).await;
        let history = "/t/smtp%3A%2F%2F127.0.0.1%3A".to_owned() + &port.to_string();
        let compared = format!("/compare?a={}&b={}", &first[3..], &second[3..]);
        for path in ["/", "/about", "/none", &first, &second, &history, &compared, "/t/unknown.example"] {
            let english = checked(&site.get_in(path, Language::English).await, Language::English, path);
            for language in [Language::German, Language::French, Language::Spanish] {
                let page = site.get_in(path, language).await;
                let texts = checked(&page, language, path);
                let own: Vec<&str> = texts
                    .iter()
                    .filter(|it| it.language == language.tag())
                    .map(|it| it.text.as_str())
                    .collect();
                assert!(own.len() >= 8, "{path}: {texts:?}");
                let is_english =
                    |text: &&str| english.iter().any(|it| it.language == "en" && it.text == *text);
                let left: Vec<_> =
                    own.into_iter().filter(is_english).filter(|text| is_sentence(text)).collect();
                assert!(left.is_empty(), "{path} in {language} is partly in English: {left:?}");
            }
        }
        // The fault that the rogue has, with its explanation.
        let german = site.get_in(&second, Language::German).await.body;
        for text in [
            "Warum das wichtig ist",
            "Abhilfe:",
            "Aktualisieren Sie den Server",
            "Hier beginnt TLS",
            "kritisch",
            "führt die eingeschleusten Bytes aus",
        ] {
            assert!(german.contains(text), "{text}: {german}");
        }
        tokio::task::spawn_blocking(move || drop(rogue)).await.unwrap();
    });
}

#[test]
fn a_link_keeps_the_language_and_a_form_too() {
    run(async {
        let site = Site::start(Options::default()).await;
        let page = site.get_in("/about?lang=fr", Language::German).await;
        assert_eq!(page.headers["content-language"], "fr");
        assert!(page.body.contains("<a href=\"/?lang=fr\">"), "{page:?}");
        let home = site.get_in("/?lang=es", Language::German).await;
        let field = "<input type=\"hidden\" name=\"lang\" value=\"es\"/>";
        assert!(home.body.contains(field), "{home:?}");
        let without = site.get_in("/", Language::Spanish).await;
        assert!(
            !without.body.contains("name=\"lang\"") && without.body.contains("Dominio o URL"),
            "{without:?}"
        );
        let refused = site.post("/check", "target=localhost&lang=es").await;
        assert_eq!((refused.status, refused.headers["content-language"].as_str()), (422, "es"));
        for text in [
            "<title>Error: Auditoría STARTTLS</title>",
            "es un nombre de una red local.",
            "/?target=localhost&amp;lang=de",
        ] {
            assert!(refused.body.contains(text), "{text}: {}", refused.body);
        }
        let started = site.post("/check", "target=smtp://10.0.0.1&lang=es").await;
        assert!(started.headers["location"].ends_with("?lang=es"), "{started:?}");
        let unknown = site.get_in("/about?lang=%22%3E%3Cscript%3E", Language::German).await;
        assert_eq!(unknown.headers["content-language"], "de");
        assert!(!unknown.body.contains("<script"), "{unknown:?}");
    });
}

/// An error of a parser that other commands use is in English, and marked as such.
#[test]
fn an_error_in_english_says_so() {
    run(async {
        let site = Site::start(Options::default()).await;
        let refused = site.post("/check", "target=gopher://x.example&lang=de").await;
        let texts = texts(&refused.body);
        assert!(texts.iter().any(|it| it.language == "en" && it.text.contains("gopher")), "{refused:?}");
        let port = site.post("/check", "target=smtp://x.example:22&lang=fr").await;
        assert!(port.body.contains("Le port 22 n’est pas un port de "), "{port:?}");
    });
}

/// Other sites show these images, so that the language of the visitor does not count.
#[test]
fn images_have_the_language_of_their_address() {
    run(async {
        let site = Site::start(Options::default()).await;
        let badge = "/t/unknown.example/badge.svg";
        assert!(site.get_in(badge, Language::German).await.body.contains("no report"));
        assert!(site.get(&format!("{badge}?lang=de")).await.body.contains("kein Bericht"));
    });
}

#[test]
fn a_run_in_progress_has_the_language_of_its_visitor() {
    run(async {
        // Nothing is accepted, so that the audit waits.
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let allowed = vec!["127.0.0.0/8"];
        let site = Site::start(Options { ports: vec![port], allowed, ..Options::default() }).await;
        let started = site.post("/check", &format!("target=smtp://127.0.0.1:{port}")).await;
        let path = &started.headers["location"];
        for (language, words) in [
            (Language::English, ["is running", "Stop this audit", "{count} connections so far"]),
            (Language::German, ["läuft", "Diese Prüfung abbrechen", "bisher {count} Verbindungen"]),
            (Language::French, ["en cours", "Arrêter cet audit", "{count} connexions jusqu’ici"]),
            (Language::Spanish, ["en curso", "Detener esta auditoría", "{count} conexiones hasta ahora"]),
        ] {
            let page = site.get_in(path, language).await;
            checked(&page, language, path);
            for word in words {
                assert!(page.body.contains(word), "{word}: {page:?}");
            }
        }
        let stopped = site.post(&format!("{path}/stop?lang=fr"), "").await;
        assert_eq!(stopped.headers["location"], format!("{path}?lang=fr"));
        drop(server);
    });
}
