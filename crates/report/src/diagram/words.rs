//! The texts of a diagram.

use crate::{Plural, Text};

/// The label of what the client sends in cleartext.
pub const CLIENT_CLEARTEXT: Text =
    Text::new("client, cleartext", "Client, Klartext", "client, en clair", "cliente, texto claro");
/// The label of what the server sends in cleartext.
pub const SERVER_CLEARTEXT: Text =
    Text::new("server, cleartext", "Server, Klartext", "serveur, en clair", "servidor, texto claro");
/// The label of what the client sends inside TLS.
pub const CLIENT_INSIDE: Text =
    Text::new("client, inside TLS", "Client, in TLS", "client, dans TLS", "cliente, dentro de TLS");
/// The label of what the server sends inside TLS.
pub const SERVER_INSIDE: Text =
    Text::new("server, inside TLS", "Server, in TLS", "serveur, dans TLS", "servidor, dentro de TLS");

pub(super) const CLEARTEXT: Text = Text::new("cleartext", "Klartext", "en clair", "texto claro");
pub(super) const INSIDE: Text = Text::new("inside TLS", "in TLS", "dans TLS", "dentro de TLS");

pub(super) const STARTS: Text =
    Text::new("TLS starts here", "Hier beginnt TLS", "TLS commence ici", "Aquí empieza TLS");
pub(super) const FAILED: Text = Text::new(
    "TLS should have started here",
    "Hier hätte TLS beginnen sollen",
    "TLS aurait dû commencer ici",
    "Aquí debería haber empezado TLS",
);
pub(super) const MISSING: Text = Text::new(
    "TLS was agreed here, and no handshake was seen",
    "Hier wurde TLS vereinbart, aber kein Handshake folgte",
    "TLS a été convenu ici, mais aucun handshake n’a suivi",
    "Aquí se acordó TLS, pero no hubo handshake",
);

pub(super) const AS_TEXT: Text = Text::new("as text", "als Text", "sous forme de texte", "como texto");
pub(super) const MORE_LINES: Text =
    Text::new("+ {count} lines", "+ {count} Zeilen", "+ {count} lignes", "+ {count} líneas");
pub(super) const WAITING: Text = Text::new(
    "{seconds} s waiting",
    "{seconds} s Wartezeit",
    "{seconds} s d’attente",
    "{seconds} s de espera",
);

pub(super) const MESSAGES: Plural = Plural {
    one: Text::new("{count} message", "{count} Nachricht", "{count} message", "{count} mensaje"),
    many: Text::new("{count} messages", "{count} Nachrichten", "{count} messages", "{count} mensajes"),
};
pub(super) const DESCRIPTION: Text = Text::new(
    "{messages} in cleartext, {rest}",
    "{messages} im Klartext, {rest}",
    "{messages} en clair, {rest}",
    "{messages} en texto claro, {rest}",
);
pub(super) const NO_TLS: Text = Text::new("no TLS", "kein TLS", "pas de TLS", "sin TLS");
pub(super) const THEN_FAILED: Text = Text::new(
    "then a TLS handshake that failed",
    "dann ein fehlgeschlagener TLS-Handshake",
    "puis un handshake TLS qui a échoué",
    "después un handshake TLS que falló",
);
pub(super) const THEN_MISSING: Text = Text::new(
    "then no TLS, although it was agreed",
    "dann kein TLS, obwohl es vereinbart war",
    "puis pas de TLS, bien qu’il ait été convenu",
    "después nada de TLS, aunque se había acordado",
);
pub(super) const THEN_INSIDE: Text = Text::new(
    "then the start of TLS, then {messages} inside TLS",
    "dann der Beginn von TLS, dann {messages} in TLS",
    "puis le début de TLS, puis {messages} dans TLS",
    "después el inicio de TLS, después {messages} dentro de TLS",
);
pub(super) const MARKED: Text = Text::new(
    "{description}. Marked: {marks}",
    "{description}. Markiert: {marks}",
    "{description}. Signalé : {marks}",
    "{description}. Marcado: {marks}",
);
