//! What crosses the boundary between cleartext and TLS.

use super::sentences;

sentences! {
    DISCARDED "discarded"
        "the server discards the injected bytes"
        "der Server verwirft die eingeschleusten Bytes"
        "le serveur jette les octets injectés"
        "el servidor descarta los bytes inyectados";
    ENDS_INSIDE "ends-inside"
        "the server ends the session inside TLS"
        "der Server beendet die Sitzung in TLS"
        "le serveur termine la session dans TLS"
        "el servidor termina la sesión dentro de TLS";
    DOES_NOT_CONTINUE "does-not-continue"
        "the server does not continue"
        "der Server macht nicht weiter"
        "le serveur ne continue pas"
        "el servidor no continúa";
    DOES_NOT_CONTINUE_BECAUSE "does-not-continue-because"
        "the server does not continue: {why}"
        "der Server macht nicht weiter: {why}"
        "le serveur ne continue pas : {why}"
        "el servidor no continúa: {why}";
    ANSWERS_IN_CLEARTEXT "answers-in-cleartext"
        "the session does not continue inside TLS: the server answers in cleartext: \"{text}\""
        "die Sitzung geht nicht in TLS weiter: Der Server antwortet im Klartext: „{text}“"
        "la session ne continue pas dans TLS : le serveur répond en clair : « {text} »"
        "la sesión no continúa dentro de TLS: el servidor responde en texto claro: «{text}»";
    ACTS_ON_INJECTED "acts-on-injected"
        "the server sends {count} answers inside TLS instead of {due}: it acts on the injected bytes"
        "der Server sendet in TLS {count} Antworten statt {due}: Er führt die eingeschleusten Bytes aus"
        "le serveur envoie {count} réponses dans TLS au lieu de {due} : il exécute les octets injectés"
        "el servidor envía {count} respuestas dentro de TLS en lugar de {due}: ejecuta los bytes inyectados";
    ANSWERS_UNASKED "answers-unasked"
        "the server answers inside TLS before it receives a command there: \"{text}\""
        "der Server antwortet in TLS, bevor er dort einen Befehl erhält: „{text}“"
        "le serveur répond dans TLS avant d’y recevoir une commande : « {text} »"
        "el servidor responde dentro de TLS antes de recibir allí una orden: «{text}»";
    SESSION_CROSSES "session-crosses"
        "a session that began in cleartext continues inside TLS: \"{text}\""
        "eine im Klartext begonnene Sitzung geht in TLS weiter: „{text}“"
        "une session commencée en clair continue dans TLS : « {text} »"
        "una sesión iniciada en texto claro continúa dentro de TLS: «{text}»";
    SESSION_DOES_NOT_CROSS "session-does-not-cross"
        "a session that began in cleartext does not continue inside TLS"
        "eine im Klartext begonnene Sitzung geht in TLS nicht weiter"
        "une session commencée en clair ne continue pas dans TLS"
        "una sesión iniciada en texto claro no continúa dentro de TLS";
    WAITS_FOR_DATA "waits-for-data"
        "the server answers nothing before data arrives inside TLS"
        "der Server antwortet erst, wenn Daten in TLS ankommen"
        "le serveur ne répond rien avant l’arrivée de données dans TLS"
        "el servidor no responde nada antes de que lleguen datos dentro de TLS";
    DOES_NOT_WAIT "does-not-wait"
        "the answer does not wait for data inside TLS"
        "die Antwort wartet nicht auf Daten in TLS"
        "la réponse n’attend pas de données dans TLS"
        "la respuesta no espera datos dentro de TLS";
    CANNOT_BE_DISTINGUISHED "cannot-be-distinguished"
        "an answer that waits for data inside TLS looks the same as the answer to that data"
        "eine Antwort, die auf Daten in TLS wartet, sieht aus wie die Antwort auf diese Daten"
        "une réponse qui attend des données dans TLS ressemble à la réponse à ces données"
        "una respuesta que espera datos dentro de TLS parece la respuesta a esos datos";
    EXACT_FORM_INJECTS "exact-form-injects"
        "the exact form of the request already lets bytes through"
        "schon die genaue Form der Anforderung lässt Bytes durch"
        "la forme exacte de la demande laisse déjà passer des octets"
        "ya la forma exacta de la petición deja pasar bytes";
    LATER_SEGMENT_STAYS_OUT "later-segment-stays-out"
        "bytes in a later segment do not get inside TLS"
        "Bytes in einem späteren Segment gelangen nicht in TLS"
        "les octets d’un segment ultérieur n’entrent pas dans TLS"
        "los bytes de un segmento posterior no entran en TLS";
    CANNOT_BE_CUT "cannot-be-cut"
        "the protocol has no command that can be cut in two"
        "das Protokoll hat keinen Befehl, der sich teilen lässt"
        "le protocole n’a pas de commande qui puisse être coupée en deux"
        "el protocolo no tiene ninguna orden que se pueda partir en dos";
    HALVES_JOINED "halves-joined"
        "the server joins the halves: \"{joined}\" instead of \"{alone}\""
        "der Server verbindet die Hälften: „{joined}“ statt „{alone}“"
        "le serveur joint les deux moitiés : « {joined} » au lieu de « {alone} »"
        "el servidor une las mitades: «{joined}» en lugar de «{alone}»";
    HALF_STAYS_OUT "half-stays-out"
        "half a command does not get inside TLS"
        "ein halber Befehl gelangt nicht in TLS"
        "une moitié de commande n’entre pas dans TLS"
        "media orden no entra en TLS";
    NO_CLEARTEXT_AFTER "no-cleartext-after"
        "the server sends no cleartext after the go-ahead"
        "der Server sendet nach der Zusage keinen Klartext"
        "le serveur n’envoie rien en clair après son accord"
        "el servidor no envía texto claro después de aceptar";
    INJECTED_ANSWERED_IN_CLEARTEXT "injected-answered-in-cleartext"
        "the server answered the injected command in cleartext: \"{text}\""
        "der Server hat den eingeschleusten Befehl im Klartext beantwortet: „{text}“"
        "le serveur a répondu en clair à la commande injectée : « {text} »"
        "el servidor respondió en texto claro a la orden inyectada: «{text}»";
    FAILURE_REPORTED_IN_CLEARTEXT "failure-reported-in-cleartext"
        "the server reports in cleartext that the handshake failed: \"{text}\""
        "der Server meldet im Klartext, dass der Handshake fehlgeschlagen ist: „{text}“"
        "le serveur signale en clair l’échec du handshake : « {text} »"
        "el servidor informa en texto claro de que el handshake falló: «{text}»";
    STILL_READS_CLEARTEXT "still-reads-cleartext"
        "the server still reads cleartext after its go-ahead, and answers it: \"{text}\""
        "der Server liest nach seiner Zusage noch Klartext und beantwortet ihn: „{text}“"
        "le serveur lit encore du texte en clair après son accord, et y répond : « {text} »"
        "el servidor aún lee texto claro después de aceptar, y lo responde: «{text}»";
    FALLS_BACK "falls-back"
        "after a handshake that failed the server continues in cleartext: \"{text}\""
        "nach einem fehlgeschlagenen Handshake macht der Server im Klartext weiter: „{text}“"
        "après l’échec d’un handshake, le serveur continue en clair : « {text} »"
        "tras un handshake fallido el servidor continúa en texto claro: «{text}»";
    CLOSES_AFTER_FAILURE "closes-after-failure"
        "after a handshake that fails, the server ends the connection"
        "nach einem fehlgeschlagenen Handshake beendet der Server die Verbindung"
        "après l’échec d’un handshake, le serveur termine la connexion"
        "tras un handshake fallido, el servidor termina la conexión";
    NEITHER_ANSWERS_NOR_ENDS "neither-answers-nor-ends"
        "after a handshake that fails the server neither answers nor ends the connection"
        "nach einem fehlgeschlagenen Handshake antwortet der Server nicht und beendet die Verbindung nicht"
        "après l’échec d’un handshake, le serveur ne répond pas et ne termine pas la connexion"
        "tras un handshake fallido, el servidor ni responde ni termina la conexión";
    STATE_KEPT "state-kept"
        "the server keeps state from the cleartext inside TLS: \"{with}\" instead of \"{without}\""
        "der Server behält in TLS Zustand aus dem Klartext: „{with}“ statt „{without}“"
        "le serveur conserve dans TLS un état de la partie en clair : « {with} » au lieu de « {without} »"
        "el servidor conserva dentro de TLS el estado del texto claro: «{with}» en lugar de «{without}»";
    STATE_DISCARDED "state-discarded"
        "the server discards state from the cleartext when TLS starts"
        "der Server verwirft beim Beginn von TLS den Zustand aus dem Klartext"
        "le serveur jette l’état de la partie en clair au début de TLS"
        "el servidor descarta el estado del texto claro al iniciar TLS";
    NO_STATE_IN_PROTOCOL "no-state-in-protocol"
        "the protocol keeps no state that a client could set before TLS"
        "das Protokoll hat keinen Zustand, den ein Client vor TLS setzen könnte"
        "le protocole n’a aucun état qu’un client puisse fixer avant TLS"
        "el protocolo no tiene ningún estado que un cliente pueda fijar antes de TLS";
    OTHER_ALPN_ACCEPTED "other-alpn-accepted"
        "the server accepts the ALPN id of another protocol: {id}"
        "der Server akzeptiert die ALPN-ID eines anderen Protokolls: {id}"
        "le serveur accepte l’identifiant ALPN d’un autre protocole : {id}"
        "el servidor acepta el identificador ALPN de otro protocolo: {id}";
    ALPN_IGNORED "alpn-ignored"
        "the server ignores ALPN: an attacker can redirect a client of another protocol here"
        "der Server ignoriert ALPN: Ein Angreifer kann einen Client eines anderen Protokolls hierher umleiten"
        "le serveur ignore ALPN : un attaquant peut rediriger ici un client d’un autre protocole"
        "el servidor ignora ALPN: un atacante puede desviar aquí a un cliente de otro protocolo";
    OTHER_ALPN_REFUSED "other-alpn-refused"
        "the server refuses the ALPN id of another protocol"
        "der Server lehnt die ALPN-ID eines anderen Protokolls ab"
        "le serveur refuse l’identifiant ALPN d’un autre protocole"
        "el servidor rechaza el identificador ALPN de otro protocolo";
    IMPLICIT_PORT_UNKNOWN "implicit-port-unknown"
        "the port with implicit TLS is unknown"
        "der Port mit implizitem TLS ist unbekannt"
        "le port TLS implicite est inconnu"
        "se desconoce el puerto con TLS implícito";
    IMPLICIT_PORT_CLOSED "implicit-port-closed"
        "port {port} is closed: {why}"
        "Port {port} ist geschlossen: {why}"
        "le port {port} est fermé : {why}"
        "el puerto {port} está cerrado: {why}";
    NOTHING_UNASKED "nothing-unasked"
        "servers of this protocol send nothing inside TLS without a request inside TLS"
        "Server dieses Protokolls senden in TLS nichts ohne eine Anfrage in TLS"
        "les serveurs de ce protocole n’envoient rien dans TLS sans requête dans TLS"
        "los servidores de este protocolo no envían nada dentro de TLS sin una petición dentro de TLS";
    ONE_FORM_ONLY "one-form-only"
        "the request has only one form, and no command can contain it as data"
        "die Anforderung hat nur eine Form, und kein Befehl kann sie als Daten enthalten"
        "la demande n’a qu’une forme, et aucune commande ne peut la contenir comme donnée"
        "la petición tiene una sola forma y ninguna orden puede contenerla como datos";
    OTHER_FORMS_STAY_OUT "other-forms-stay-out"
        "other forms of the request let no bytes through"
        "andere Formen der Anforderung lassen keine Bytes durch"
        "les autres formes de la demande ne laissent passer aucun octet"
        "las otras formas de la petición no dejan pasar bytes";
    OTHER_FORMS_AND_DATA_STAY_OUT "other-forms-and-data-stay-out"
        "other forms of the request let no bytes through, and a request in data has no effect"
        "andere Formen der Anforderung lassen keine Bytes durch, und eine Anforderung in Daten hat keine Wirkung"
        "les autres formes de la demande ne laissent passer aucun octet, et une demande dans des données est sans effet"
        "las otras formas de la petición no dejan pasar bytes, y una petición dentro de datos no tiene efecto";
    NO_CLEARTEXT_HERE "no-cleartext-here"
        "TLS starts at the first byte of this port, so a session has no cleartext part"
        "TLS beginnt auf diesem Port mit dem ersten Byte, also hat eine Sitzung keinen Teil im Klartext"
        "TLS commence dès le premier octet de ce port, une session n’a donc pas de partie en clair"
        "TLS empieza en el primer byte de este puerto, así que una sesión no tiene parte en texto claro";
}
