//! Why a connection has no result.

use super::sentences;

sentences! {
    REACHED "reached"
        "{address} answers"
        "{address} antwortet"
        "{address} répond"
        "{address} responde";
    UNREACHABLE "unreachable"
        "no connection: {why}"
        "keine Verbindung: {why}"
        "pas de connexion : {why}"
        "sin conexión: {why}";
    SILENT "silent"
        "the server sent nothing where {why} was expected"
        "der Server hat nichts gesendet; erwartet wurde: {why}"
        "le serveur n’a rien envoyé ; attendu : {why}"
        "el servidor no envió nada; se esperaba: {why}";
    UNFINISHED "unfinished"
        "the server sent only a part of {why}: \"{text}\""
        "der Server hat nur einen Teil gesendet („{text}“); erwartet wurde: {why}"
        "le serveur n’a envoyé qu’une partie (« {text} ») ; attendu : {why}"
        "el servidor envió solo una parte («{text}»); se esperaba: {why}";
    OTHER_MESSAGES "other-messages"
        "the server sent other messages, but not {why}; the last was \"{text}\""
        "der Server hat andere Nachrichten gesendet, zuletzt „{text}“; erwartet wurde: {why}"
        "le serveur a envoyé d’autres messages, le dernier étant « {text} » ; attendu : {why}"
        "el servidor envió otros mensajes, el último «{text}»; se esperaba: {why}";
    ENDLESS "endless"
        "the server keeps sending without end where {why} was expected"
        "der Server sendet ohne Ende; erwartet wurde: {why}"
        "le serveur envoie sans fin ; attendu : {why}"
        "el servidor envía sin fin; se esperaba: {why}";
    UNREAD "unread"
        "the server does not read what the client sends"
        "der Server liest nicht, was der Client sendet"
        "le serveur ne lit pas ce que le client envoie"
        "el servidor no lee lo que envía el cliente";
    PASSED_OVER "passed-over"
        "the server did not send {why}, and answered the next command"
        "der Server hat erst den nächsten Befehl beantwortet; es fehlt: {why}"
        "le serveur n’a répondu qu’à la commande suivante ; il manque : {why}"
        "el servidor solo respondió a la orden siguiente; falta: {why}";
    CLOSED "closed"
        "the server closed the connection where {why} was expected"
        "der Server hat die Verbindung geschlossen; erwartet wurde: {why}"
        "le serveur a fermé la connexion ; attendu : {why}"
        "el servidor cerró la conexión; se esperaba: {why}";
    ALERT_INSIDE "alert-inside"
        "the server ended the TLS session with the alert {alert}"
        "der Server hat die TLS-Sitzung mit dem Alert {alert} beendet"
        "le serveur a terminé la session TLS par l’alerte {alert}"
        "el servidor terminó la sesión TLS con la alerta {alert}";
    CLIENT_CERTIFICATE_REQUIRED "client-certificate-required"
        "the server requires a client certificate and ended the TLS session"
        "der Server verlangt ein Client-Zertifikat und hat die TLS-Sitzung beendet"
        "le serveur exige un certificat client et a terminé la session TLS"
        "el servidor exige un certificado de cliente y terminó la sesión TLS";
    TURNED_AWAY "turned-away"
        "the server turned the client away: \"{text}\""
        "der Server hat den Client abgewiesen: „{text}“"
        "le serveur a renvoyé le client : « {text} »"
        "el servidor rechazó al cliente: «{text}»";
    MALFORMED "malformed"
        "the server's answer is malformed: expected {why}"
        "die Antwort des Servers ist fehlerhaft; erwartet wurde: {why}"
        "la réponse du serveur est mal formée ; attendu : {why}"
        "la respuesta del servidor está mal formada; se esperaba: {why}";
    HANDSHAKE_FAILED "handshake-failed"
        "the TLS handshake failed: {why}"
        "der TLS-Handshake ist fehlgeschlagen: {why}"
        "le handshake TLS a échoué : {why}"
        "el handshake TLS falló: {why}";
    REFUSED_LATER "refused-later"
        "the server refused the upgrade, which it accepted on an earlier connection"
        "der Server hat das Upgrade abgelehnt, das er auf einer früheren Verbindung angenommen hat"
        "le serveur a refusé le passage à TLS, qu’il avait accepté sur une connexion antérieure"
        "el servidor rechazó el paso a TLS, que había aceptado en una conexión anterior";
    NOT_SERVED_INSIDE "not-served-inside"
        "the session inside TLS is not served: {why}"
        "die Sitzung in TLS wird nicht bedient: {why}"
        "la session dans TLS n’est pas servie : {why}"
        "la sesión dentro de TLS no se atiende: {why}";
    CONNECTION_LIMIT "connection-limit"
        "the limit of connections was reached"
        "die Höchstzahl der Verbindungen ist erreicht"
        "la limite de connexions est atteinte"
        "se alcanzó el límite de conexiones";
    DEADLINE "deadline"
        "not finished: the audit's deadline was reached"
        "nicht beendet: die Frist der Prüfung ist abgelaufen"
        "non terminé : le délai de l’audit est écoulé"
        "sin terminar: se agotó el plazo de la auditoría";
    NOT_SELECTED "not-selected"
        "not selected"
        "nicht ausgewählt"
        "non sélectionné"
        "no seleccionada";
    VALUE "value"
        "{value}"
        "{value}"
        "{value}"
        "{value}";
    LATER_TURNED_AWAY "later-turned-away"
        "later connections were turned away ({why})"
        "spätere Verbindungen wurden abgewiesen ({why})"
        "des connexions ultérieures ont été refusées ({why})"
        "se rechazaron conexiones posteriores ({why})";
}
