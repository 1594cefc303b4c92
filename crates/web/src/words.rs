//! The texts of the pages.

use starttls_report::{Plural, Text};

pub(crate) const SERVICE: Text =
    Text::new("STARTTLS audit", "STARTTLS-Prüfung", "Audit STARTTLS", "Auditoría STARTTLS");
pub(crate) const SKIP: Text =
    Text::new("Skip to the content", "Zum Inhalt", "Aller au contenu", "Ir al contenido");
pub(crate) const SITE: Text = Text::new("Site", "Website", "Site", "Sitio");
pub(crate) const LANGUAGES: Text = Text::new("Languages", "Sprachen", "Langues", "Idiomas");
pub(crate) const NEW_AUDIT: Text = Text::new("New audit", "Neue Prüfung", "Nouvel audit", "Nueva auditoría");
pub(crate) const START_NEW: Text = Text::new(
    "Start a new audit",
    "Neue Prüfung starten",
    "Lancer un nouvel audit",
    "Iniciar una auditoría nueva",
);

// The form.
pub(crate) const QUESTION: Text = Text::new(
    "Is the upgrade to TLS sound?",
    "Ist das Upgrade auf TLS in Ordnung?",
    "Le passage à TLS est-il correct ?",
    "¿Es correcto el paso a TLS?",
);
pub(crate) const INTRODUCTION: Text = Text::new(
    "Enter a domain or the URL of a server. The audit opens up to 30 connections to it, shows the conversations, and says what \
     is wrong and how to fix it.",
    "Geben Sie eine Domain oder die URL eines Servers ein. Die Prüfung öffnet bis zu 30 Verbindungen dorthin, zeigt die \
     Gespräche und sagt, was nicht stimmt und wie es sich beheben lässt.",
    "Saisissez un domaine ou l’URL d’un serveur. L’audit ouvre jusqu’à 30 connexions vers lui, montre les conversations et \
     indique ce qui ne va pas et comment le corriger.",
    "Escriba un dominio o la URL de un servidor. La auditoría abre hasta 30 conexiones con él, muestra las conversaciones e \
     indica qué está mal y cómo corregirlo.",
);
pub(crate) const TARGET: Text =
    Text::new("Domain or URL", "Domain oder URL", "Domaine ou URL", "Dominio o URL");
pub(crate) const EXAMPLES: Text = Text::new(
    "Examples: `example.com`, `smtp://mail.example.com`, `imap://mail.example.com`, `ldap://ldap.example.com`",
    "Beispiele: `example.com`, `smtp://mail.example.com`, `imap://mail.example.com`, `ldap://ldap.example.com`",
    "Exemples : `example.com`, `smtp://mail.example.com`, `imap://mail.example.com`, `ldap://ldap.example.com`",
    "Ejemplos: `example.com`, `smtp://mail.example.com`, `imap://mail.example.com`, `ldap://ldap.example.com`",
);
pub(crate) const EXTENT: Text = Text::new("Extent", "Umfang", "Étendue", "Alcance");
pub(crate) const STANDARD: Text = Text::new(
    "Standard: all checks",
    "Standard: alle Prüfungen",
    "Standard : tous les contrôles",
    "Estándar: todas las comprobaciones",
);
pub(crate) const QUICK: Text = Text::new(
    "Quick: offer, upgrade and certificate",
    "Schnell: Angebot, Upgrade und Zertifikat",
    "Rapide : offre, passage à TLS et certificat",
    "Rápida: oferta, paso a TLS y certificado",
);
pub(crate) const TLS: Text = Text::new(
    "TLS: all checks, and what the server offers in TLS",
    "TLS: alle Prüfungen und was der Server in TLS anbietet",
    "TLS : tous les contrôles, et ce que le serveur propose dans TLS",
    "TLS: todas las comprobaciones y lo que el servidor ofrece en TLS",
);
pub(crate) const AUDIT: Text = Text::new("Audit", "Prüfen", "Auditer", "Auditar");
pub(crate) const ERROR_TITLE: Text =
    Text::new("Error: {title}", "Fehler: {title}", "Erreur : {title}", "Error: {title}");

// About the service.
pub(crate) const ABOUT: Text = Text::new(
    "About this service",
    "Über diesen Dienst",
    "À propos de ce service",
    "Acerca de este servicio",
);
pub(crate) const SENDS_TITLE: Text =
    Text::new("What it sends", "Was er sendet", "Ce qu’il envoie", "Qué envía");
pub(crate) const SENDS: Text = Text::new(
    "An audit negotiates TLS as a client does, sends harmless commands at the wrong moment to see whether the server keeps them, \
     and reads the certificate. It does not log in, sends no mail, and follows no redirection. The checks are those of the \
     command `starttls check`.",
    "Eine Prüfung handelt TLS aus wie ein Client, sendet harmlose Befehle im falschen Moment, um zu sehen, ob der Server sie \
     behält, und liest das Zertifikat. Sie meldet sich nicht an, sendet keine E-Mail und folgt keiner Umleitung. Die Prüfungen \
     sind die des Befehls `starttls check`.",
    "Un audit négocie TLS comme le fait un client, envoie des commandes inoffensives au mauvais moment pour voir si le serveur \
     les conserve, et lit le certificat. Il ne s’authentifie pas, n’envoie aucun courrier et ne suit aucune redirection. Les \
     contrôles sont ceux de la commande `starttls check`.",
    "Una auditoría negocia TLS como lo hace un cliente, envía órdenes inofensivas en el momento equivocado para ver si el \
     servidor las guarda, y lee el certificado. No inicia sesión, no envía correo y no sigue redirecciones. Las comprobaciones \
     son las de la orden `starttls check`.",
);
pub(crate) const SERVERS_TITLE: Text = Text::new(
    "Which servers it asks",
    "Welche Server er anspricht",
    "Quels serveurs il contacte",
    "A qué servidores pregunta",
);
pub(crate) const SERVERS: Text = Text::new(
    "Names are looked up once, and only addresses that the operator permits are asked, on the ports of the protocols. Private and \
     other special-purpose addresses are refused unless the operator allows them.",
    "Namen werden einmal aufgelöst, und nur Adressen, die der Betreiber erlaubt, werden angesprochen, auf den Ports der \
     Protokolle. Private und andere Adressen für besondere Zwecke werden abgelehnt, wenn der Betreiber sie nicht erlaubt.",
    "Les noms sont résolus une seule fois, et seules les adresses permises par l’exploitant sont contactées, sur les ports des \
     protocoles. Les adresses privées et autres adresses spéciales sont refusées, sauf si l’exploitant les autorise.",
    "Los nombres se resuelven una sola vez, y solo se pregunta a las direcciones que permite el operador, en los puertos de los \
     protocolos. Las direcciones privadas y otras especiales se rechazan si el operador no las permite.",
);
pub(crate) const LIMITS: Text = Text::new(
    "Each server is audited at most twice within ten minutes, for all visitors together, and each network at most 20 times within \
     an hour. Each visitor can start three audits at once, and ten in an hour.",
    "Jeder Server wird für alle Besucher zusammen höchstens zweimal in zehn Minuten geprüft, jedes Netz höchstens 20-mal in einer \
     Stunde. Jeder Besucher kann drei Prüfungen auf einmal starten und zehn in einer Stunde.",
    "Chaque serveur est audité au plus deux fois en dix minutes, tous visiteurs confondus, et chaque réseau au plus 20 fois par \
     heure. Chaque visiteur peut lancer trois audits à la fois, et dix par heure.",
    "Cada servidor se audita como mucho dos veces en diez minutos, para todos los visitantes juntos, y cada red como mucho 20 \
     veces por hora. Cada visitante puede iniciar tres auditorías a la vez y diez por hora.",
);
pub(crate) const KEEPS_TITLE: Text =
    Text::new("What it keeps", "Was er speichert", "Ce qu’il conserve", "Qué guarda");
pub(crate) const KEEPS: Text = Text::new(
    "Reports, for a limited time. They can be read by everybody who knows their link, and are not listed. There are no cookies. \
     Monitoring can read a target’s verdict from `/probe`, and programs can use {api}.",
    "Berichte, für begrenzte Zeit. Jeder, der den Link kennt, kann sie lesen; aufgelistet werden sie nicht. Es gibt keine \
     Cookies. Monitoring kann das Urteil über ein Ziel unter `/probe` lesen, und Programme können {api} verwenden.",
    "Des rapports, pour une durée limitée. Quiconque connaît leur lien peut les lire, et ils ne sont pas listés. Il n’y a pas de \
     cookies. La supervision peut lire le verdict d’une cible à `/probe`, et les programmes peuvent utiliser {api}.",
    "Informes, durante un tiempo limitado. Puede leerlos cualquiera que conozca su enlace, y no se listan. No hay cookies. La \
     monitorización puede leer el veredicto de un objetivo en `/probe`, y los programas pueden usar {api}.",
);
pub(crate) const API: Text = Text::new("the API", "die API", "l’API", "la API");

// A run in progress.
pub(crate) const RUNNING: Text = Text::new(
    "Audit of {target} is running",
    "Prüfung von {target} läuft",
    "Audit de {target} en cours",
    "Auditoría de {target} en curso",
);
pub(crate) const WAITING: Text = Text::new(
    "Waiting for the first connection.",
    "Warten auf die erste Verbindung.",
    "En attente de la première connexion.",
    "Esperando la primera conexión.",
);
pub(crate) const CONVERSATIONS: Text =
    Text::new("Conversations", "Gespräche", "Conversations", "Conversaciones");
pub(crate) const WITHOUT_SCRIPT: Text =
    Text::new("Watch without a script", "Ohne Skript verfolgen", "Suivre sans script", "Seguir sin script");
pub(crate) const STOP: Text =
    Text::new("Stop this audit", "Diese Prüfung abbrechen", "Arrêter cet audit", "Detener esta auditoría");
pub(crate) const GROWS: Text = Text::new(
    "This page grows until the audit is finished.",
    "Diese Seite wächst, bis die Prüfung beendet ist.",
    "Cette page s’allonge jusqu’à la fin de l’audit.",
    "Esta página crece hasta que termina la auditoría.",
);
pub(crate) const LOOK_AGAIN: Text = Text::new(
    "The audit is still running: look again",
    "Die Prüfung läuft noch: erneut ansehen",
    "L’audit est encore en cours : regarder de nouveau",
    "La auditoría sigue en curso: volver a mirar",
);
pub(crate) const FINISHED: Text = Text::new(
    "Finished: see the report",
    "Beendet: zum Bericht",
    "Terminé : voir le rapport",
    "Terminada: ver el informe",
);
pub(crate) const REPORT_FOLLOWS: Text = Text::new(
    "Finished. The report follows.",
    "Beendet. Der Bericht folgt.",
    "Terminé. Le rapport suit.",
    "Terminada. Sigue el informe.",
);
pub(crate) const LOST: Text = Text::new(
    "The connection to this service was lost. It is tried again.",
    "Die Verbindung zu diesem Dienst ist abgebrochen. Ein neuer Versuch läuft.",
    "La connexion à ce service a été perdue. Nouvelle tentative en cours.",
    "Se perdió la conexión con este servicio. Se está reintentando.",
);
pub(crate) const CANNOT_FOLLOW: Text = Text::new(
    "The audit cannot be followed here. Load this page again for its report.",
    "Die Prüfung lässt sich hier nicht verfolgen. Laden Sie diese Seite erneut, um den Bericht zu sehen.",
    "L’audit ne peut pas être suivi ici. Rechargez cette page pour voir son rapport.",
    "La auditoría no se puede seguir aquí. Vuelva a cargar esta página para ver el informe.",
);
pub(crate) const SO_FAR: Plural = Plural {
    one: Text::new(
        "{count} connection so far",
        "bisher {count} Verbindung",
        "{count} connexion jusqu’ici",
        "{count} conexión hasta ahora",
    ),
    many: Text::new(
        "{count} connections so far",
        "bisher {count} Verbindungen",
        "{count} connexions jusqu’ici",
        "{count} conexiones hasta ahora",
    ),
};
pub(crate) const CONNECTION: Text = Text::new(
    "Connection {number}: {why}",
    "Verbindung {number}: {why}",
    "Connexion {number} : {why}",
    "Conexión {number}: {why}",
);
pub(crate) const CONNECTION_SIDE: Text = Text::new(
    "connection {number} {side}",
    "Verbindung {number} {side}",
    "connexion {number} {side}",
    "conexión {number} {side}",
);

// A report.
pub(crate) const STOPPED: Text = Text::new(
    "The audit was stopped before it was finished.",
    "Die Prüfung wurde abgebrochen, bevor sie beendet war.",
    "L’audit a été arrêté avant la fin.",
    "La auditoría se detuvo antes de terminar.",
);
pub(crate) const POSTPONED: Text = Text::new(
    "No server was audited: each was audited several times just now.",
    "Kein Server wurde geprüft: Jeder wurde gerade erst mehrmals geprüft.",
    "Aucun serveur n’a été audité : chacun vient de l’être plusieurs fois.",
    "No se auditó ningún servidor: cada uno se acaba de auditar varias veces.",
);
pub(crate) const BROKEN_OFF: Text = Text::new(
    "The audit was broken off.",
    "Die Prüfung wurde unterbrochen.",
    "L’audit a été interrompu.",
    "La auditoría se interrumpió.",
);
pub(crate) const ALL_TRANSCRIPTS: Text = Text::new(
    "All transcripts",
    "Alle Mitschriften",
    "Toutes les transcriptions",
    "Todas las transcripciones",
);
pub(crate) const NOT_NEWEST: Text = Text::new(
    "This report is not the newest one: {newer} is newer.",
    "Dieser Bericht ist nicht der neueste: {newer} ist neuer.",
    "Ce rapport n’est pas le plus récent : {newer} est plus récent.",
    "Este informe no es el más reciente: {newer} es más reciente.",
);
pub(crate) const OLD: Text = Text::new(
    "This report is more than 30 days old.",
    "Dieser Bericht ist älter als 30 Tage.",
    "Ce rapport a plus de 30 jours.",
    "Este informe tiene más de 30 días.",
);
pub(crate) const RUN_AGAIN: Text = Text::new("Run again", "Erneut prüfen", "Relancer", "Repetir");
pub(crate) const HISTORY: Text = Text::new(
    "History of this target",
    "Verlauf dieses Ziels",
    "Historique de cette cible",
    "Historial de este objetivo",
);
pub(crate) const CHANGED_SINCE_LAST: Text = Text::new(
    "What changed since the last report",
    "Änderungen seit dem letzten Bericht",
    "Ce qui a changé depuis le dernier rapport",
    "Qué cambió desde el último informe",
);
pub(crate) const TEXT: Text = Text::new("Text", "Text", "Texte", "Texto");
pub(crate) const PICTURE: Text = Text::new(
    "Picture of the conversation",
    "Bild des Gesprächs",
    "Image de la conversation",
    "Imagen de la conversación",
);
pub(crate) const VERDICT_TITLE: Text =
    Text::new("{verdict}: {target}", "{verdict}: {target}", "{verdict} : {target}", "{verdict}: {target}");

// The history of a target.
pub(crate) const REPORTS_ON: Text = Text::new(
    "Reports on {target}",
    "Berichte über {target}",
    "Rapports sur {target}",
    "Informes sobre {target}",
);
pub(crate) const BULK_DONE: Text = Text::new(
    "{done} of {total} targets are done",
    "{done} von {total} Zielen sind fertig",
    "{done} cibles sur {total} sont terminées",
    "{done} de {total} objetivos están terminados",
);
pub(crate) const LOAD_AGAIN: Text = Text::new(
    "Load this page again",
    "Diese Seite neu laden",
    "Recharger cette page",
    "Volver a cargar esta página",
);
pub(crate) const IS_WAITING: Text = Text::new("(waiting)", "(wartet)", "(en attente)", "(en espera)");
pub(crate) const IS_RUNNING: Text = Text::new("(running)", "(läuft)", "(en cours)", "(en curso)");
pub(crate) const IS_INVALID: Text = Text::new("(invalid)", "(ungültig)", "(invalide)", "(no válido)");
pub(crate) const IS_NOT_STARTED: Text =
    Text::new("(not started)", "(nicht gestartet)", "(non démarré)", "(no iniciado)");
pub(crate) const IS_STOPPED: Text = Text::new("(stopped)", "(abgebrochen)", "(arrêté)", "(detenida)");
pub(crate) const IS_POSTPONED: Text = Text::new("(postponed)", "(verschoben)", "(reporté)", "(aplazada)");
pub(crate) const IS_BROKEN_OFF: Text =
    Text::new("(broken off)", "(unterbrochen)", "(interrompu)", "(interrumpida)");
pub(crate) const CHANGES_SINCE: Text = Text::new(
    "changes since {time}",
    "Änderungen seit {time}",
    "changements depuis {time}",
    "cambios desde {time}",
);
pub(crate) const NO_REPORT: Text = Text::new(
    "This target has no report.",
    "Zu diesem Ziel gibt es keinen Bericht.",
    "Cette cible n’a pas de rapport.",
    "Este objetivo no tiene informe.",
);
pub(crate) const BADGE: Text = Text::new("Badge", "Plakette", "Badge", "Insignia");
pub(crate) const BADGE_ALTERNATIVE: Text = Text::new(
    "The verdict of the newest report",
    "Das Urteil des neuesten Berichts",
    "Le verdict du rapport le plus récent",
    "El veredicto del informe más reciente",
);
pub(crate) const BADGE_PATH: Text = Text::new(
    "The badge shows the newest report and never starts an audit: {path}",
    "Die Plakette zeigt den neuesten Bericht und startet nie eine Prüfung: {path}",
    "Le badge montre le rapport le plus récent et ne lance jamais d’audit : {path}",
    "La insignia muestra el informe más reciente y nunca inicia una auditoría: {path}",
);
pub(crate) const AUDIT_NOW: Text =
    Text::new("Audit now", "Jetzt prüfen", "Auditer maintenant", "Auditar ahora");

// The badge of a target.
pub(crate) const BADGE_TODAY: Text =
    Text::new("{verdict} · today", "{verdict} · heute", "{verdict} · aujourd’hui", "{verdict} · hoy");
pub(crate) const BADGE_DAYS: Text = Text::new(
    "{verdict} · {days} d",
    "{verdict} · {days} T.",
    "{verdict} · {days} j",
    "{verdict} · {days} d",
);
pub(crate) const BADGE_NONE: Text = Text::new("no report", "kein Bericht", "pas de rapport", "sin informe");

// The comparison of two reports.
pub(crate) const WHAT_CHANGED: Text = Text::new(
    "What changed: {target}",
    "Änderungen: {target}",
    "Ce qui a changé : {target}",
    "Qué cambió: {target}",
);
pub(crate) const BEFORE: Text = Text::new("Before", "Vorher", "Avant", "Antes");
pub(crate) const AFTER: Text = Text::new("After", "Nachher", "Après", "Después");
pub(crate) const EARLIER: Text =
    Text::new("The earlier report", "Der frühere Bericht", "Le rapport précédent", "El informe anterior");
pub(crate) const LATER: Text =
    Text::new("The later report", "Der spätere Bericht", "Le rapport suivant", "El informe posterior");
pub(crate) const OTHER_TARGETS: Text = Text::new(
    "The reports are on different targets.",
    "Die Berichte betreffen verschiedene Ziele.",
    "Les rapports portent sur des cibles différentes.",
    "Los informes tratan de objetivos distintos.",
);
pub(crate) const PROGRAM_CHANGED: Text = Text::new(
    "The program changed too: {old}, then {new}.",
    "Auch das Programm hat sich geändert: {old}, dann {new}.",
    "Le programme a changé aussi : {old}, puis {new}.",
    "El programa también cambió: {old}, después {new}.",
);
pub(crate) const NOTHING_CHANGED: Text =
    Text::new("Nothing changed.", "Es hat sich nichts geändert.", "Rien n’a changé.", "No cambió nada.");
pub(crate) const NEW_PROBLEM: Text =
    Text::new("new problem:", "neues Problem:", "nouveau problème :", "problema nuevo:");
pub(crate) const GONE: Text = Text::new("gone:", "behoben:", "disparu :", "desaparecido:");
pub(crate) const STILL_THERE: Text =
    Text::new("still there:", "weiterhin vorhanden:", "toujours présent :", "sigue presente:");
pub(crate) const NO_VALUE: Text = Text::new("none", "keine Angabe", "aucune valeur", "ninguno");
pub(crate) const VERDICT: Text = Text::new("Verdict", "Urteil", "Verdict", "Veredicto");
pub(crate) const ADDRESS: Text = Text::new("Address", "Adresse", "Adresse", "Dirección");
pub(crate) const TLS_VERSIONS: Text =
    Text::new("TLS versions", "TLS-Versionen", "Versions TLS", "Versiones TLS");
pub(crate) const CIPHER_SUITE: Text =
    Text::new("Cipher suite", "Cipher-Suite", "Suite de chiffrement", "Suite de cifrado");
pub(crate) const KEY_EXCHANGE: Text =
    Text::new("Key exchange", "Schlüsselaustausch", "Échange de clés", "Intercambio de claves");
pub(crate) const CERTIFICATE: Text = Text::new("Certificate", "Zertifikat", "Certificat", "Certificado");
pub(crate) const CAPABILITIES_BEFORE: Text = Text::new(
    "Capabilities in cleartext",
    "Fähigkeiten im Klartext",
    "Capacités en clair",
    "Capacidades en texto claro",
);
pub(crate) const CAPABILITIES_INSIDE: Text = Text::new(
    "Capabilities inside TLS",
    "Fähigkeiten in TLS",
    "Capacités dans TLS",
    "Capacidades dentro de TLS",
);

// Errors.
pub(crate) const NOT_FOUND: Text = Text::new("Not found", "Nicht gefunden", "Introuvable", "No encontrado");
pub(crate) const NO_PAGE: Text = Text::new(
    "this page does not exist. A report may have been deleted, and an audit ends with a restart of the service",
    "Diese Seite gibt es nicht. Ein Bericht kann gelöscht worden sein, und eine Prüfung endet mit einem Neustart des Dienstes.",
    "Cette page n’existe pas. Un rapport a pu être supprimé, et un audit prend fin au redémarrage du service.",
    "Esta página no existe. Puede que se haya borrado un informe, y una auditoría termina al reiniciar el servicio.",
);
pub(crate) const ERROR: Text = Text::new("Error", "Fehler", "Erreur", "Error");
pub(crate) const TOO_LONG: Text = Text::new("Too long", "Zu lang", "Trop long", "Demasiado largo");
pub(crate) const FORM_TOO_LONG: Text = Text::new(
    "the form is too long",
    "Das Formular ist zu lang.",
    "Le formulaire est trop long.",
    "El formulario es demasiado largo.",
);
pub(crate) const BROKEN: Text = Text::new("Broken", "Unvollständig", "Incomplet", "Incompleto");
pub(crate) const FORM_BROKEN: Text = Text::new(
    "the form is incomplete",
    "Das Formular ist unvollständig.",
    "Le formulaire est incomplet.",
    "El formulario está incompleto.",
);
pub(crate) const UNKNOWN_EXTENT: Text =
    Text::new("Unknown extent", "Unbekannter Umfang", "Étendue inconnue", "Alcance desconocido");
pub(crate) const EXTENTS: Text = Text::new(
    "the extents are quick, standard and tls",
    "Der Umfang ist quick, standard oder tls.",
    "L’étendue est quick, standard ou tls.",
    "El alcance es quick, standard o tls.",
);
pub(crate) const TOO_MANY: Text =
    Text::new("Too many audits", "Zu viele Prüfungen", "Trop d’audits", "Demasiadas auditorías");
pub(crate) const TRY_AGAIN: Text = Text::new(
    "you have started several audits; try again in {count} min",
    "Sie haben mehrere Prüfungen gestartet; versuchen Sie es in {count} min erneut.",
    "Vous avez lancé plusieurs audits ; réessayez dans {count} min.",
    "Ha iniciado varias auditorías; inténtelo de nuevo en {count} min.",
);
pub(crate) const NOT_PERMITTED: Text =
    Text::new("Not permitted", "Nicht erlaubt", "Non autorisé", "No permitido");
pub(crate) const NEEDS_KEY: Text = Text::new(
    "this extent is for programs with a key of the API",
    "Dieser Umfang ist Programmen mit einem Schlüssel der API vorbehalten.",
    "Cette étendue est réservée aux programmes qui ont une clé de l’API.",
    "Este alcance es para programas con una clave de la API.",
);
pub(crate) const BUSY: Text = Text::new("Busy", "Ausgelastet", "Occupé", "Ocupado");
pub(crate) const AUDITS_WAIT: Text = Text::new(
    "too many audits are waiting; try again in a minute",
    "Zu viele Prüfungen warten; versuchen Sie es in einer Minute erneut.",
    "Trop d’audits sont en attente ; réessayez dans une minute.",
    "Hay demasiadas auditorías en espera; inténtelo de nuevo en un minuto.",
);
pub(crate) const PAGES_FOLLOW: Text = Text::new(
    "too many pages follow audits; the report will be at the same link",
    "Zu viele Seiten verfolgen Prüfungen; der Bericht wird unter demselben Link stehen.",
    "Trop de pages suivent des audits ; le rapport sera au même lien.",
    "Demasiadas páginas siguen auditorías; el informe estará en el mismo enlace.",
);

// Why a text is not a target.
pub(crate) const TARGET_MISSING: Text = Text::new(
    "enter a domain or the URL of a server",
    "Geben Sie eine Domain oder die URL eines Servers ein.",
    "Saisissez un domaine ou l’URL d’un serveur.",
    "Escriba un dominio o la URL de un servidor.",
);
pub(crate) const TARGET_LONG: Text = Text::new(
    "the target is longer than {count} octets",
    "Das Ziel ist länger als {count} Bytes.",
    "La cible dépasse {count} octets.",
    "El objetivo supera {count} bytes.",
);
pub(crate) const NAME_PROTOCOL: Text = Text::new(
    "name the protocol too, for example {example}",
    "Geben Sie auch das Protokoll an, zum Beispiel {example}",
    "Indiquez aussi le protocole, par exemple {example}",
    "Indique también el protocolo, por ejemplo {example}",
);
pub(crate) const UNKNOWN_PORT: Text = Text::new(
    "port {port} is not the port of a known protocol",
    "Port {port} gehört zu keinem bekannten Protokoll.",
    "Le port {port} n’est celui d’aucun protocole connu.",
    "El puerto {port} no es el de un protocolo conocido.",
);
pub(crate) const OTHER_PORT: Text = Text::new(
    "port {port} is not a port of {protocol} that this service asks",
    "Port {port} ist kein Port von {protocol}, den dieser Dienst anspricht.",
    "Le port {port} n’est pas un port de {protocol} que ce service contacte.",
    "El puerto {port} no es un puerto de {protocol} al que este servicio pregunte.",
);
pub(crate) const NOT_A_HOST: Text = Text::new(
    "\"{name}\" is not the name of a host",
    "„{name}“ ist nicht der Name eines Hosts.",
    "« {name} » n’est pas le nom d’un hôte.",
    "«{name}» no es el nombre de un host.",
);
pub(crate) const LOCAL_NAME: Text = Text::new(
    "\"{name}\" is a name of a local network",
    "„{name}“ ist ein Name eines lokalen Netzes.",
    "« {name} » est un nom d’un réseau local.",
    "«{name}» es un nombre de una red local.",
);
/// A sentence in English, from a parser that other commands use too.
pub(crate) const ENGLISH: Text = Text::new("{why}", "{why}", "{why}", "{why}");
