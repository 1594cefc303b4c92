//! The texts of a report that people read. Formats without a choice of languages use the English ones.

use starttls_report::{Language, Plural, Text};
use starttls_x509::validity;

use crate::report::{CheckOutcome, EndpointVerdict, Severity};
use crate::requirement::Requirement;

/// Returns the text for a verdict.
pub(crate) fn verdict(verdict: EndpointVerdict) -> Text {
    match verdict {
        EndpointVerdict::Sound => const { Text::new("sound", "in Ordnung", "correct", "correcto") },
        EndpointVerdict::Findings => {
            const { Text::new("not sound", "nicht in Ordnung", "non correct", "no correcto") }
        }
        EndpointVerdict::Declined => const { Text::new("declined", "abgelehnt", "refusé", "rechazado") },
        EndpointVerdict::Unreachable => {
            const { Text::new("unreachable", "nicht erreichbar", "injoignable", "inaccesible") }
        }
        EndpointVerdict::TlsFailed => {
            const { Text::new("TLS failed", "TLS fehlgeschlagen", "échec de TLS", "fallo de TLS") }
        }
        EndpointVerdict::Violation => {
            const {
                Text::new(
                    "protocol violation",
                    "Protokollverletzung",
                    "violation du protocole",
                    "violación del protocolo",
                )
            }
        }
        EndpointVerdict::WrongPort => {
            const { Text::new("wrong port", "falscher Port", "mauvais port", "puerto equivocado") }
        }
        EndpointVerdict::Inconclusive => {
            const { Text::new("inconclusive", "ergebnislos", "non concluant", "no concluyente") }
        }
    }
}

/// Returns the text for a severity.
pub(crate) fn severity(severity: Severity) -> Text {
    match severity {
        Severity::Info => const { Text::new("info", "Info", "info", "info") },
        Severity::Warning => const { Text::new("warning", "Warnung", "avertissement", "advertencia") },
        Severity::Error => const { Text::new("error", "Fehler", "erreur", "error") },
        Severity::Critical => const { Text::new("critical", "kritisch", "critique", "crítico") },
    }
}

/// Returns the text for the heading of the findings with an outcome.
pub(crate) fn outcome(outcome: CheckOutcome) -> Text {
    match outcome {
        CheckOutcome::Pass => const { Text::new("Passed", "Bestanden", "Réussis", "Superadas") },
        CheckOutcome::Fail | CheckOutcome::Warning => {
            const { Text::new("Problems", "Probleme", "Problèmes", "Problemas") }
        }
        CheckOutcome::Info => const { Text::new("Notes", "Hinweise", "Remarques", "Observaciones") },
        CheckOutcome::NotApplicable => {
            const { Text::new("Not applicable", "Nicht anwendbar", "Sans objet", "No aplicables") }
        }
        CheckOutcome::NotRun => {
            const { Text::new("Not run", "Nicht ausgeführt", "Non exécutés", "No ejecutadas") }
        }
        CheckOutcome::Inconclusive => {
            const {
                Text::new(
                    "Inconclusive checks",
                    "Ergebnislose Prüfungen",
                    "Contrôles non concluants",
                    "Comprobaciones no concluyentes",
                )
            }
        }
    }
}

pub(crate) const INCONCLUSIVE_BADGE: Text =
    Text::new("inconclusive", "ergebnislos", "non concluant", "no concluyente");
pub(crate) const KNOWN_PROBLEMS: Text = Text::new(
    "Problems in the baseline",
    "Bekannte Probleme",
    "Problèmes déjà connus",
    "Problemas ya conocidos",
);

pub(crate) const TITLE: Text =
    Text::new("STARTTLS audit", "STARTTLS-Prüfung", "Audit STARTTLS", "Auditoría STARTTLS");
pub(crate) const SKIP: Text =
    Text::new("Skip to the results", "Zu den Ergebnissen", "Aller aux résultats", "Ir a los resultados");
pub(crate) const LOOKED_UP: Text = Text::new("Looked up:", "Abgefragt:", "Requêtes :", "Consultado:");
pub(crate) const TARGET: Text = Text::new("Target", "Ziel", "Cible", "Objetivo");
pub(crate) const TARGETS: Text = Text::new("Targets", "Ziele", "Cibles", "Objetivos");
pub(crate) const FROM_TO: Text =
    Text::new("{first} to {last}", "{first} bis {last}", "{first} à {last}", "{first} a {last}");
pub(crate) const TIME: Text = Text::new("Time", "Zeit", "Heure", "Hora");
pub(crate) const PROGRAM: Text = Text::new("Program", "Programm", "Programme", "Programa");
pub(crate) const OPTIONS: Text = Text::new("Options", "Optionen", "Options", "Opciones");
pub(crate) const SUMMARY: Text = Text::new("Summary", "Zusammenfassung", "Résumé", "Resumen");
pub(crate) const MORE: Text =
    Text::new("and {count} more", "und {count} weitere", "et {count} de plus", "y {count} más");

pub(crate) const ADDRESS: Text = Text::new("Address", "Adresse", "Adresse", "Dirección");
pub(crate) const NAME: Text = Text::new("Name", "Name", "Nom", "Nombre");
pub(crate) const TLS: Text = Text::new("TLS", "TLS", "TLS", "TLS");
pub(crate) const CERTIFICATE: Text = Text::new("Certificate", "Zertifikat", "Certificat", "Certificado");
pub(crate) const NAMES: Text = Text::new("Names", "Namen", "Noms", "Nombres");
pub(crate) const VALID: Text = Text::new("Valid", "Gültig", "Validité", "Validez");
pub(crate) const ISSUED_BY: Text = Text::new("Issued by", "Ausgestellt von", "Émis par", "Emitido por");
pub(crate) const SERIAL: Text = Text::new("Serial", "Seriennummer", "Numéro de série", "Número de serie");
pub(crate) const PATH_EXPIRES: Text =
    Text::new("Path expires", "Kette läuft ab", "Expiration de la chaîne", "Caducidad de la cadena");
pub(crate) const DATE_WITH: Text = Text::new(
    "{date}, with {subject}",
    "{date}, mit {subject}",
    "{date}, avec {subject}",
    "{date}, con {subject}",
);
pub(crate) const AUDIT: Text = Text::new("Audit", "Prüfung", "Audit", "Auditoría");
pub(crate) const STEPS: Text = Text::new("Steps", "Schritte", "Étapes", "Pasos");

pub(crate) const CONNECTIONS: Plural = Plural {
    one: Text::new("{count} connection", "{count} Verbindung", "{count} connexion", "{count} conexión"),
    many: Text::new(
        "{count} connections",
        "{count} Verbindungen",
        "{count} connexions",
        "{count} conexiones",
    ),
};
pub(crate) const FROM: Text =
    Text::new(", from {source}", ", von {source}", ", depuis {source}", ", desde {source}");
pub(crate) const AT: Text = Text::new(", at {time}", ", um {time}", ", à {time}", ", a las {time}");

pub(crate) const NO_KEY_EXCHANGE: Text = Text::new(
    "no key exchange",
    "kein Schlüsselaustausch",
    "pas d’échange de clés",
    "sin intercambio de claves",
);
pub(crate) const POST_QUANTUM: Text =
    Text::new(" (post-quantum)", " (Post-Quanten)", " (post-quantique)", " (poscuántico)");

/// Returns the words for the remaining validity of a certificate. Those in English are [`validity::remaining`]'s.
pub(crate) fn remaining(language: Language, days_left: i64) -> String {
    const LEFT: Plural = Plural {
        one: Text::new("{count} day left", "noch {count} Tag", "encore {count} jour", "queda {count} día"),
        many: Text::new(
            "{count} days left",
            "noch {count} Tage",
            "encore {count} jours",
            "quedan {count} días",
        ),
    };
    const LESS: Text = Text::new(
        "less than a day left",
        "noch weniger als ein Tag",
        "encore moins d’un jour",
        "queda menos de un día",
    );
    const EXPIRED: Text = Text::new(
        "expired {count} days ago",
        "vor {count} Tagen abgelaufen",
        "expiré depuis {count} jours",
        "caducado hace {count} días",
    );
    const JUST_EXPIRED: Text = Text::new(
        "expired less than 2 days ago",
        "vor weniger als 2 Tagen abgelaufen",
        "expiré depuis moins de 2 jours",
        "caducado hace menos de 2 días",
    );
    match (language, days_left) {
        (Language::English, days) => validity::remaining(days),
        (_, 0) => LESS.of(language).to_owned(),
        (_, -1) => JUST_EXPIRED.of(language).to_owned(),
        (_, 1..) => LEFT.filled(language, usize::try_from(days_left).unwrap_or(usize::MAX)),
        _ => EXPIRED.filled(language, &[("count", &days_left.unsigned_abs())]),
    }
}

/// Returns what a check needs for a better result. In English, the program that runs the audit says how to provide it.
pub(crate) fn requirement(requirement: Requirement) -> Text {
    match requirement {
        Requirement::SlowChecks => {
            const {
                Text::new(
                    "needs the slow checks",
                    "braucht die langsamen Prüfungen",
                    "nécessite les contrôles lents",
                    "necesita las comprobaciones lentas",
                )
            }
        }
        Requirement::TlsSurvey => {
            const {
                Text::new(
                    "needs a TLS survey",
                    "braucht eine TLS-Erhebung",
                    "nécessite un inventaire TLS",
                    "necesita un inventario TLS",
                )
            }
        }
        Requirement::FullTlsSurvey => {
            const {
                Text::new(
                    "run a full TLS survey",
                    "führen Sie eine vollständige TLS-Erhebung durch",
                    "lancez un inventaire TLS complet",
                    "ejecute un inventario TLS completo",
                )
            }
        }
        Requirement::TlsProfile => {
            const {
                Text::new(
                    "needs a TLS profile",
                    "braucht ein TLS-Profil",
                    "nécessite un profil TLS",
                    "necesita un perfil TLS",
                )
            }
        }
        Requirement::MoreHellos => {
            const {
                Text::new(
                    "allow more hellos",
                    "erlauben Sie mehr Hellos",
                    "autorisez davantage de hellos",
                    "permita más hello",
                )
            }
        }
        Requirement::MoreConnections => {
            const {
                Text::new(
                    "allow more connections",
                    "erlauben Sie mehr Verbindungen",
                    "autorisez davantage de connexions",
                    "permita más conexiones",
                )
            }
        }
        Requirement::MoreTime => {
            const {
                Text::new(
                    "allow more time",
                    "geben Sie mehr Zeit",
                    "accordez plus de temps",
                    "conceda más tiempo",
                )
            }
        }
        Requirement::SlowerPace => {
            const {
                Text::new(
                    "try again with longer pauses between the connections",
                    "versuchen Sie es mit längeren Pausen zwischen den Verbindungen",
                    "réessayez avec des pauses plus longues entre les connexions",
                    "repita con pausas más largas entre las conexiones",
                )
            }
        }
        Requirement::ImplicitPort => {
            const {
                Text::new(
                    "specify the port",
                    "geben Sie den Port an",
                    "indiquez le port",
                    "indique el puerto",
                )
            }
        }
        Requirement::ServerName => {
            const {
                Text::new(
                    "specify the name of the server",
                    "geben Sie den Namen des Servers an",
                    "indiquez le nom du serveur",
                    "indique el nombre del servidor",
                )
            }
        }
        Requirement::ClientName => {
            const {
                Text::new(
                    "choose another client name",
                    "wählen Sie einen anderen Client-Namen",
                    "choisissez un autre nom de client",
                    "elija otro nombre de cliente",
                )
            }
        }
        Requirement::ClientCertificate => {
            const {
                Text::new(
                    "present a client certificate",
                    "zeigen Sie ein Client-Zertifikat",
                    "présentez un certificat client",
                    "presente un certificado de cliente",
                )
            }
        }
        Requirement::TrustedAuthority => {
            const {
                Text::new(
                    "if the issuer is an authority, trust it",
                    "wenn der Aussteller eine CA ist, vertrauen Sie ihr",
                    "si l’émetteur est une AC, faites-lui confiance",
                    "si el emisor es una CA, confíe en ella",
                )
            }
        }
    }
}

/// Returns the name of a step of the first connection.
pub(crate) fn step(name: &str) -> Option<Text> {
    Some(match name {
        "connect" => const { Text::new("connect", "Verbindung", "connexion", "conexión") },
        "greeting" => const { Text::new("greeting", "Begrüßung", "accueil", "saludo") },
        "hello" => const { Text::new("hello", "Hello", "hello", "hello") },
        "request" => const { Text::new("request", "Anforderung", "demande", "petición") },
        "handshake" => const { Text::new("handshake", "Handshake", "handshake", "handshake") },
        "hello inside" => {
            const { Text::new("hello inside", "Hello in TLS", "hello dans TLS", "hello dentro de TLS") }
        }
        _ => return None,
    })
}

pub(crate) const TLS_SURVEY: Text = Text::new(
    "TLS survey: {survey}",
    "TLS-Erhebung: {survey}",
    "Inventaire TLS : {survey}",
    "Inventario TLS: {survey}",
);
pub(crate) const CAPABILITIES: Text = Text::new(
    "Capabilities of the server, before TLS ({before}) and inside ({inside})",
    "Fähigkeiten des Servers, vor TLS ({before}) und in TLS ({inside})",
    "Capacités du serveur, avant TLS ({before}) et dans TLS ({inside})",
    "Capacidades del servidor, antes de TLS ({before}) y dentro ({inside})",
);
pub(crate) const IN_CLEARTEXT: Text = Text::new("In cleartext", "Im Klartext", "En clair", "En texto claro");
pub(crate) const INSIDE_TLS: Text = Text::new("Inside TLS", "In TLS", "Dans TLS", "Dentro de TLS");
pub(crate) const ONLY_BEFORE: Text =
    Text::new("only before TLS", "nur vor TLS", "seulement avant TLS", "solo antes de TLS");
pub(crate) const ONLY_INSIDE: Text =
    Text::new("only inside TLS", "nur in TLS", "seulement dans TLS", "solo dentro de TLS");

pub(crate) const FIX: Text = Text::new("Fix:", "Abhilfe:", "Correction :", "Solución:");
pub(crate) const WHY: Text =
    Text::new("Why it matters", "Warum das wichtig ist", "Pourquoi c’est important", "Por qué importa");

pub(crate) const CONVERSATION: Text =
    Text::new("The conversation", "Das Gespräch", "La conversation", "La conversación");
pub(crate) const TRANSCRIPTS: Text = Text::new(
    "Transcripts ({count})",
    "Mitschriften ({count})",
    "Transcriptions ({count})",
    "Transcripciones ({count})",
);
pub(crate) const CONNECTION: Text = Text::new(
    "Connection {number}: {purpose}",
    "Verbindung {number}: {purpose}",
    "Connexion {number} : {purpose}",
    "Conexión {number}: {purpose}",
);
pub(crate) const SEEN_ON: Text = Text::new(
    "Seen on {connection} ({purpose})",
    "Gesehen auf {connection} ({purpose})",
    "Vu sur {connection} ({purpose})",
    "Visto en {connection} ({purpose})",
);
pub(crate) const CONNECTION_LINK: Text =
    Text::new("connection {number}", "Verbindung {number}", "connexion {number}", "conexión {number}");
pub(crate) const DIAGRAM: Text = Text::new(
    "Connection {number} to {server}, {protocol}: {purpose}",
    "Verbindung {number} zu {server}, {protocol}: {purpose}",
    "Connexion {number} vers {server}, {protocol} : {purpose}",
    "Conexión {number} a {server}, {protocol}: {purpose}",
);
pub(crate) const CROSSED: Text =
    Text::new("crossed: {check}", "übergetreten: {check}", "a traversé : {check}", "cruzó: {check}");
pub(crate) const LEAKED: Text =
    Text::new("leaked: {check}", "verraten: {check}", "révélé : {check}", "revelado: {check}");

pub(crate) const ENDPOINTS: Plural = Plural {
    one: Text::new(
        "{count} endpoint",
        "{count} Endpunkt",
        "{count} point d’accès",
        "{count} punto de acceso",
    ),
    many: Text::new(
        "{count} endpoints",
        "{count} Endpunkte",
        "{count} points d’accès",
        "{count} puntos de acceso",
    ),
};
pub(crate) const COUNTED: Text = Text::new(
    "{endpoints}: {verdicts}",
    "{endpoints}: {verdicts}",
    "{endpoints} : {verdicts}",
    "{endpoints}: {verdicts}",
);
pub(crate) const NO_ENDPOINTS: Text = Text::new(
    "no endpoints to audit",
    "keine Endpunkte zu prüfen",
    "aucun point d’accès à auditer",
    "ningún punto de acceso que auditar",
);
pub(crate) const WITHOUT_ENDPOINT: Plural = Plural {
    one: Text::new(
        "{count} target without an endpoint",
        "{count} Ziel ohne Endpunkt",
        "{count} cible sans point d’accès",
        "{count} objetivo sin punto de acceso",
    ),
    many: Text::new(
        "{count} targets without an endpoint",
        "{count} Ziele ohne Endpunkt",
        "{count} cibles sans point d’accès",
        "{count} objetivos sin punto de acceso",
    ),
};

pub(crate) const PASSED: Plural = Plural {
    one: Text::new(
        "{count} check passed",
        "{count} Prüfung bestanden",
        "{count} contrôle réussi",
        "{count} comprobación superada",
    ),
    many: Text::new(
        "{count} checks passed",
        "{count} Prüfungen bestanden",
        "{count} contrôles réussis",
        "{count} comprobaciones superadas",
    ),
};
pub(crate) const INCONCLUSIVE: Plural = Plural {
    one: Text::new(
        "{count} check was inconclusive",
        "{count} Prüfung war ergebnislos",
        "{count} contrôle n’a pas été concluant",
        "{count} comprobación no fue concluyente",
    ),
    many: Text::new(
        "{count} checks were inconclusive",
        "{count} Prüfungen waren ergebnislos",
        "{count} contrôles n’ont pas été concluants",
        "{count} comprobaciones no fueron concluyentes",
    ),
};
pub(crate) const NOT_SELECTED: Plural = Plural {
    one: Text::new(
        "{count} check was not selected",
        "{count} Prüfung war nicht ausgewählt",
        "{count} contrôle n’était pas sélectionné",
        "{count} comprobación no estaba seleccionada",
    ),
    many: Text::new(
        "{count} checks were not selected",
        "{count} Prüfungen waren nicht ausgewählt",
        "{count} contrôles n’étaient pas sélectionnés",
        "{count} comprobaciones no estaban seleccionadas",
    ),
};
pub(crate) const NO_PROBLEMS: Text = Text::new(
    "{passed}, no problems found",
    "{passed}, keine Probleme gefunden",
    "{passed}, aucun problème trouvé",
    "{passed}, ningún problema encontrado",
);
pub(crate) const INCONCLUSIVE_ONLY: Text = Text::new(
    "{inconclusive}; no problems found; {passed}",
    "{inconclusive}; keine Probleme gefunden; {passed}",
    "{inconclusive} ; aucun problème trouvé ; {passed}",
    "{inconclusive}; ningún problema encontrado; {passed}",
);
pub(crate) const KNOWN_ONLY: Text = Text::new(
    "no new problems, {known} known; {passed}",
    "keine neuen Probleme, {known} bekannt; {passed}",
    "aucun nouveau problème, {known} déjà connus ; {passed}",
    "ningún problema nuevo, {known} conocidos; {passed}",
);
pub(crate) const FINDINGS: Plural = Plural {
    one: Text::new("{count} finding", "{count} Befund", "{count} constat", "{count} hallazgo"),
    many: Text::new("{count} findings", "{count} Befunde", "{count} constats", "{count} hallazgos"),
};
pub(crate) const NEW_FINDINGS: Plural = Plural {
    one: Text::new(
        "{count} new finding",
        "{count} neuer Befund",
        "{count} nouveau constat",
        "{count} hallazgo nuevo",
    ),
    many: Text::new(
        "{count} new findings",
        "{count} neue Befunde",
        "{count} nouveaux constats",
        "{count} hallazgos nuevos",
    ),
};
pub(crate) const FOUND: Text = Text::new(
    "{findings}, the worst {worst}; {passed}",
    "{findings}, der schwerste: {worst}; {passed}",
    "{findings}, le plus grave : {worst} ; {passed}",
    "{findings}, el más grave: {worst}; {passed}",
);
pub(crate) const FOUND_AND_KNOWN: Text = Text::new(
    "{findings}, the worst {worst}; {known} known; {passed}",
    "{findings}, der schwerste: {worst}; {known} bekannt; {passed}",
    "{findings}, le plus grave : {worst} ; {known} déjà connus ; {passed}",
    "{findings}, el más grave: {worst}; {known} conocidos; {passed}",
);
pub(crate) const AND_INCONCLUSIVE: Text = Text::new(
    "{summary}, {count} inconclusive",
    "{summary}, {count} ergebnislos",
    "{summary}, {count} non concluants",
    "{summary}, {count} no concluyentes",
);
