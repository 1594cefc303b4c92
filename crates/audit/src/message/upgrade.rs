//! What a server does with the offer, the request and the handshake, and what it shows before TLS.

use super::sentences;

sentences! {
    OFFERED "offered"
        "the server offers the upgrade"
        "der Server bietet das Upgrade an"
        "le serveur propose le passage à TLS"
        "el servidor ofrece el paso a TLS";
    NOT_OFFERED "not-offered"
        "the server does not offer the upgrade"
        "der Server bietet das Upgrade nicht an"
        "le serveur ne propose pas le passage à TLS"
        "el servidor no ofrece el paso a TLS";
    OFFERED_AND_REFUSED "offered-and-refused"
        "the server offers the upgrade, and refuses it"
        "der Server bietet das Upgrade an und lehnt es ab"
        "le serveur propose le passage à TLS, et le refuse"
        "el servidor ofrece el paso a TLS y lo rechaza";
    OFFERED_AND_REFUSED_FOR_NOW "offered-and-refused-for-now"
        "the server offers the upgrade, and refuses it temporarily"
        "der Server bietet das Upgrade an und lehnt es vorübergehend ab"
        "le serveur propose le passage à TLS, et le refuse temporairement"
        "el servidor ofrece el paso a TLS y lo rechaza temporalmente";
    REFUSED_FOR_NOW "refused-for-now"
        "the server refuses the upgrade temporarily"
        "der Server lehnt das Upgrade vorübergehend ab"
        "le serveur refuse temporairement le passage à TLS"
        "el servidor rechaza temporalmente el paso a TLS";
    NOT_OFFERED_AND_REFUSED "not-offered-and-refused"
        "the server does not offer the upgrade, and refuses it"
        "der Server bietet das Upgrade nicht an und lehnt es ab"
        "le serveur ne propose pas le passage à TLS, et le refuse"
        "el servidor no ofrece el paso a TLS y lo rechaza";
    NOT_OFFERED_AND_UNANSWERED "not-offered-and-unanswered"
        "the server does not offer the upgrade, and does not answer the request"
        "der Server bietet das Upgrade nicht an und beantwortet die Anforderung nicht"
        "le serveur ne propose pas le passage à TLS, et ne répond pas à la demande"
        "el servidor no ofrece el paso a TLS y no responde a la petición";
    OFFER_MANGLED "offer-mangled"
        "a firewall or proxy on the path overwrites the offer with X"
        "eine Firewall oder ein Proxy auf dem Übertragungsweg überschreibt das Angebot mit X"
        "un pare-feu ou un proxy sur le chemin écrase l’offre avec des X"
        "un cortafuegos o un proxy en la ruta sobrescribe la oferta con X";
    NO_OFFER_IN_PROTOCOL "no-offer-in-protocol"
        "the protocol has no offer"
        "das Protokoll hat kein Angebot"
        "le protocole n’a pas d’offre"
        "el protocolo no tiene oferta";
    PREAUTHENTICATED "preauthenticated"
        "the server reports the session as authenticated before TLS, so that no upgrade is possible"
        "der Server meldet die Sitzung schon vor TLS als angemeldet, daher ist kein Upgrade möglich"
        "le serveur annonce la session comme authentifiée avant TLS, aucun passage à TLS n’est donc possible"
        "el servidor indica la sesión como autenticada antes de TLS, así que no es posible pasar a TLS";
    UPGRADED "upgraded"
        "the server agrees to the upgrade, and the TLS handshake succeeds"
        "der Server stimmt dem Upgrade zu, und der TLS-Handshake gelingt"
        "le serveur accepte le passage à TLS, et le handshake TLS réussit"
        "el servidor acepta el paso a TLS y el handshake TLS tiene éxito";
    HANDSHAKE_SUCCEEDS "handshake-succeeds"
        "the TLS handshake succeeds"
        "der TLS-Handshake gelingt"
        "le handshake TLS réussit"
        "el handshake TLS tiene éxito";
    UPGRADE_FAILS "upgrade-fails"
        "the server agrees to the upgrade, but the TLS handshake fails: {why}"
        "der Server stimmt dem Upgrade zu, aber der TLS-Handshake schlägt fehl: {why}"
        "le serveur accepte le passage à TLS, mais le handshake TLS échoue : {why}"
        "el servidor acepta el paso a TLS, pero el handshake TLS falla: {why}";
    HANDSHAKE_FAILS "handshake-fails"
        "the TLS handshake fails: {why}"
        "der TLS-Handshake schlägt fehl: {why}"
        "le handshake TLS échoue : {why}"
        "el handshake TLS falla: {why}";
    REFERS "refers"
        "the server refers clients to another server before TLS; an attacker on the path can do the same"
        "der Server verweist Clients vor TLS an einen anderen Server; ein Angreifer auf dem Übertragungsweg kann das auch"
        "le serveur renvoie les clients vers un autre serveur avant TLS ; un attaquant sur le chemin peut en faire autant"
        "el servidor remite a los clientes a otro servidor antes de TLS; un atacante en la ruta puede hacer lo mismo";
    REFERS_NOT "refers-not"
        "the server refers no client to another server before TLS"
        "der Server verweist vor TLS keinen Client an einen anderen Server"
        "le serveur ne renvoie aucun client vers un autre serveur avant TLS"
        "el servidor no remite a ningún cliente a otro servidor antes de TLS";
    ALERTS "alerts"
        "the server sends a message for the user before TLS; an attacker on the path can do the same"
        "der Server sendet vor TLS eine Meldung für den Benutzer; ein Angreifer auf dem Übertragungsweg kann das auch"
        "le serveur envoie un message à l’utilisateur avant TLS ; un attaquant sur le chemin peut en faire autant"
        "el servidor envía un mensaje al usuario antes de TLS; un atacante en la ruta puede hacer lo mismo";
    ALERTS_NOT "alerts-not"
        "the server sends no message for the user before TLS"
        "der Server sendet vor TLS keine Meldung für den Benutzer"
        "le serveur n’envoie aucun message à l’utilisateur avant TLS"
        "el servidor no envía ningún mensaje al usuario antes de TLS";
    VERSION_REVEALED "version-revealed"
        "the server reveals a version in cleartext: {version}"
        "der Server verrät im Klartext eine Version: {version}"
        "le serveur révèle une version en clair : {version}"
        "el servidor revela una versión en texto claro: {version}";
    NO_VERSION_REVEALED "no-version-revealed"
        "the server reveals no version in cleartext"
        "der Server verrät im Klartext keine Version"
        "le serveur ne révèle aucune version en clair"
        "el servidor no revela ninguna versión en texto claro";
    INTERNAL_REVEALED "internal-revealed"
        "the server reveals an internal name or address: {name}"
        "der Server verrät einen internen Namen oder eine interne Adresse: {name}"
        "le serveur révèle un nom ou une adresse interne : {name}"
        "el servidor revela un nombre o una dirección interna: {name}";
    NO_INTERNAL_REVEALED "no-internal-revealed"
        "the server reveals no internal name or address"
        "der Server verrät keinen internen Namen und keine interne Adresse"
        "le serveur ne révèle aucun nom ni adresse interne"
        "el servidor no revela ningún nombre ni dirección interna";
    LOGIN_REFUSED "login-refused"
        "the server refuses a login before TLS"
        "der Server lehnt eine Anmeldung vor TLS ab"
        "le serveur refuse une authentification avant TLS"
        "el servidor rechaza la autenticación antes de TLS";
    LOGIN_REFUSED_WITH "login-refused-with"
        "the server refuses a login in cleartext: \"{text}\""
        "der Server lehnt eine Anmeldung im Klartext ab: „{text}“"
        "le serveur refuse une authentification en clair : « {text} »"
        "el servidor rechaza la autenticación en texto claro: «{text}»";
    LOGIN_ENDS "login-ends"
        "the server ends the session after a login in cleartext"
        "der Server beendet die Sitzung nach einer Anmeldung im Klartext"
        "le serveur termine la session après une authentification en clair"
        "el servidor termina la sesión tras una autenticación en texto claro";
    LOGIN_NOT_IN_PROTOCOL "login-not-in-protocol"
        "the protocol has no login of its own"
        "das Protokoll hat keine eigene Anmeldung"
        "le protocole n’a pas d’authentification propre"
        "el protocolo no tiene autenticación propia";
    LOGIN_PROCESSED "login-processed"
        "the server processes a login in cleartext: \"{text}\""
        "der Server bearbeitet eine Anmeldung im Klartext: „{text}“"
        "le serveur traite une authentification en clair : « {text} »"
        "el servidor procesa una autenticación en texto claro: «{text}»";
    LOGIN_ASKED "login-asked"
        "the server asks for {mechanisms} in cleartext"
        "der Server verlangt {mechanisms} im Klartext"
        "le serveur demande {mechanisms} en clair"
        "el servidor pide {mechanisms} en texto claro";
    LOGIN_PROCESSED_BY_PROOF "login-processed-by-proof"
        "the server processes a login in cleartext by {mechanisms}, which does not send the password"
        "der Server bearbeitet im Klartext eine Anmeldung mit {mechanisms}, die das Passwort nicht sendet"
        "le serveur traite en clair une authentification par {mechanisms}, qui n’envoie pas le mot de passe"
        "el servidor procesa en texto claro una autenticación con {mechanisms}, que no envía la contraseña";
    COMMANDS_REFUSED "commands-refused"
        "the server refuses commands before TLS"
        "der Server lehnt Befehle vor TLS ab"
        "le serveur refuse les commandes avant TLS"
        "el servidor rechaza órdenes antes de TLS";
    COMMAND_REFUSED_WITH "command-refused-with"
        "the server refuses a command in cleartext: \"{text}\""
        "der Server lehnt einen Befehl im Klartext ab: „{text}“"
        "le serveur refuse une commande en clair : « {text} »"
        "el servidor rechaza una orden en texto claro: «{text}»";
    SERVED_WITHOUT_TLS "served-without-tls"
        "the server serves a client that never requested TLS: \"{text}\""
        "der Server bedient einen Client, der nie TLS angefordert hat: „{text}“"
        "le serveur sert un client qui n’a jamais demandé TLS : « {text} »"
        "el servidor atiende a un cliente que nunca pidió TLS: «{text}»";
    SESSION_ENDED_WITHOUT_TLS "session-ended-without-tls"
        "the server ends a session without TLS"
        "der Server beendet eine Sitzung ohne TLS"
        "le serveur termine une session sans TLS"
        "el servidor termina una sesión sin TLS";
    NOTHING_BEFORE_LOGIN "nothing-before-login"
        "the protocol does nothing before a login"
        "das Protokoll tut vor einer Anmeldung nichts"
        "le protocole ne fait rien avant une authentification"
        "el protocolo no hace nada antes de la autenticación";
    OFFERED_AGAIN "offered-again"
        "the server lists the upgrade again inside TLS, and refuses it"
        "der Server listet das Upgrade in TLS noch einmal auf und lehnt es ab"
        "le serveur annonce de nouveau le passage à TLS dans TLS, et le refuse"
        "el servidor vuelve a anunciar el paso a TLS dentro de TLS y lo rechaza";
    ACCEPTED_AGAIN "accepted-again"
        "the server accepts the upgrade again inside TLS"
        "der Server nimmt das Upgrade in TLS noch einmal an"
        "le serveur accepte de nouveau le passage à TLS dans TLS"
        "el servidor vuelve a aceptar el paso a TLS dentro de TLS";
    NOT_OFFERED_AGAIN "not-offered-again"
        "the server neither lists nor accepts the upgrade inside TLS"
        "der Server bietet das Upgrade in TLS weder an noch nimmt er es an"
        "le serveur n’annonce ni n’accepte le passage à TLS dans TLS"
        "el servidor ni anuncia ni acepta el paso a TLS dentro de TLS";
    LIST_CHANGES "list-changes"
        "the list changes with TLS"
        "die Liste ändert sich mit TLS"
        "la liste change avec TLS"
        "la lista cambia con TLS";
    LIST_IS_THE_SAME "list-is-the-same"
        "the list inside TLS is the same as before TLS"
        "die Liste in TLS ist dieselbe wie vor TLS"
        "la liste dans TLS est la même qu’avant TLS"
        "la lista dentro de TLS es la misma que antes de TLS";
    LIST_KEEPS_CLEARTEXT "list-keeps-cleartext"
        "the list inside TLS still contains capabilities that are valid in cleartext only"
        "die Liste in TLS enthält noch Fähigkeiten, die nur im Klartext gelten"
        "la liste dans TLS contient encore des capacités qui ne valent qu’en clair"
        "la lista dentro de TLS aún contiene capacidades que solo valen en texto claro";
    NO_LIST_INSIDE "no-list-inside"
        "the server sends no list inside TLS to compare"
        "der Server sendet in TLS keine Liste zum Vergleichen"
        "le serveur n’envoie dans TLS aucune liste à comparer"
        "el servidor no envía dentro de TLS ninguna lista que comparar";
    REFERS_INSTEAD "refers-instead"
        "the server refers clients to another server instead of upgrading: \"{text}\""
        "der Server verweist Clients an einen anderen Server, statt auf TLS umzustellen: „{text}“"
        "le serveur renvoie les clients vers un autre serveur au lieu de passer à TLS : « {text} »"
        "el servidor remite a los clientes a otro servidor en lugar de pasar a TLS: «{text}»";
    SERVES_CLEARTEXT_TOO "serves-cleartext-too"
        "the server also serves cleartext, {why}"
        "der Server bedient auch Klartext, {why}"
        "le serveur sert aussi en clair, {why}"
        "el servidor también atiende en texto claro, {why}";
}
