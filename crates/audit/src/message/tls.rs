//! What the TLS session and the TLS survey show.

use super::sentences;

sentences! {
    QUANTUM_RESISTANT "quantum-resistant"
        "{group}, which resists quantum computers"
        "{group}, das Quantencomputern widersteht"
        "{group}, qui résiste aux ordinateurs quantiques"
        "{group}, que resiste a los ordenadores cuánticos";
    NOT_QUANTUM_RESISTANT "not-quantum-resistant"
        "{group} does not resist quantum computers: a session that is recorded today can be decrypted later"
        "{group} widersteht Quantencomputern nicht: Eine heute aufgezeichnete Sitzung kann später entschlüsselt werden"
        "{group} ne résiste pas aux ordinateurs quantiques : une session enregistrée aujourd’hui pourra être déchiffrée plus tard"
        "{group} no resiste a los ordenadores cuánticos: una sesión grabada hoy podrá descifrarse más tarde";
    RESUMPTION "resumption"
        "sessions can be resumed"
        "Sitzungen können wiederaufgenommen werden"
        "les sessions peuvent être reprises"
        "las sesiones se pueden reanudar";
    NO_TICKET "no-ticket"
        "no session ticket was seen"
        "es war kein Session-Ticket zu sehen"
        "aucun ticket de session n’a été vu"
        "no se vio ningún ticket de sesión";
    NO_RENEGOTIATION "no-renegotiation"
        "TLS 1.3 has none"
        "TLS 1.3 hat keine"
        "TLS 1.3 n’en a pas"
        "TLS 1.3 no tiene";
    SECURE_RENEGOTIATION "secure-renegotiation"
        "secure renegotiation is supported (RFC 5746)"
        "sichere Neuaushandlung wird unterstützt (RFC 5746)"
        "la renégociation sécurisée est prise en charge (RFC 5746)"
        "se admite la renegociación segura (RFC 5746)";
    ALPN_CHOSEN "alpn-chosen"
        "the ALPN id {id} is chosen"
        "die ALPN-ID {id} ist ausgewählt"
        "l’identifiant ALPN {id} est choisi"
        "se elige el identificador ALPN {id}";
    NO_ALPN "no-alpn"
        "no ALPN id is chosen"
        "es ist keine ALPN-ID ausgewählt"
        "aucun identifiant ALPN n’est choisi"
        "no se elige ningún identificador ALPN";
    NO_EARLY_DATA "no-early-data"
        "no session ticket permits early data"
        "kein Session-Ticket erlaubt Early Data"
        "aucun ticket de session ne permet de données anticipées"
        "ningún ticket de sesión permite datos anticipados";
    EARLY_DATA_UNKNOWN "early-data-unknown"
        "no session ticket was seen, and the server may send one later"
        "es war kein Session-Ticket zu sehen, der Server kann später eines senden"
        "aucun ticket de session n’a été vu, et le serveur peut en envoyer un plus tard"
        "no se vio ningún ticket de sesión, y el servidor puede enviar uno más tarde";
    EARLY_DATA_NOT_IN_VERSION "early-data-not-in-version"
        "only TLS 1.3 has early data"
        "nur TLS 1.3 hat Early Data"
        "seul TLS 1.3 a des données anticipées"
        "solo TLS 1.3 tiene datos anticipados";
    VERSION_OFFERED "version-offered"
        "{version} is offered"
        "{version} wird angeboten"
        "{version} est proposé"
        "se ofrece {version}";
    VERSIONS_OFFERED "versions-offered"
        "{first} and {last} are offered"
        "{first} und {last} werden angeboten"
        "{first} et {last} sont proposés"
        "se ofrecen {first} y {last}";
    VERSIONS_NOT_OFFERED "versions-not-offered"
        "{first} and {last} are not offered"
        "{first} und {last} werden nicht angeboten"
        "{first} et {last} ne sont pas proposés"
        "no se ofrecen {first} y {last}";
    SESSION_WITH_VERSION "session-with-version"
        "a handshake succeeds with {version}"
        "ein Handshake gelingt mit {version}"
        "un handshake réussit avec {version}"
        "un handshake tiene éxito con {version}";
    MODERN_OFFERED "modern-offered"
        "TLS 1.2 or 1.3 is offered"
        "TLS 1.2 oder 1.3 wird angeboten"
        "TLS 1.2 ou 1.3 est proposé"
        "se ofrece TLS 1.2 o 1.3";
    NOTHING_BETTER "nothing-better"
        "the server offers nothing better than {version}"
        "der Server bietet nichts Besseres als {version} an"
        "le serveur ne propose rien de mieux que {version}"
        "el servidor no ofrece nada mejor que {version}";
    TLS_1_3_SUCCEEDS "tls-1-3-succeeds"
        "a handshake succeeds with TLS 1.3"
        "ein Handshake gelingt mit TLS 1.3"
        "un handshake réussit avec TLS 1.3"
        "un handshake tiene éxito con TLS 1.3";
    TLS_1_3_OFFERED "tls-1-3-offered"
        "TLS 1.3 is offered"
        "TLS 1.3 wird angeboten"
        "TLS 1.3 est proposé"
        "se ofrece TLS 1.3";
    TLS_1_3_NOT_OFFERED "tls-1-3-not-offered"
        "TLS 1.3 is not offered"
        "TLS 1.3 wird nicht angeboten"
        "TLS 1.3 n’est pas proposé"
        "no se ofrece TLS 1.3";
    TLS_1_3_ONLY "tls-1-3-only"
        "the server offers TLS 1.3 only"
        "der Server bietet nur TLS 1.3 an"
        "le serveur ne propose que TLS 1.3"
        "el servidor ofrece solo TLS 1.3";
    TLS_1_3_MISSING "tls-1-3-missing"
        "the server does not offer TLS 1.3"
        "der Server bietet TLS 1.3 nicht an"
        "le serveur ne propose pas TLS 1.3"
        "el servidor no ofrece TLS 1.3";
    SERVER_ORDER "server-order"
        "the server's order of suites decides"
        "die Reihenfolge des Servers entscheidet"
        "l’ordre du serveur décide"
        "decide el orden del servidor";
    CLIENT_ORDER "client-order"
        "the client's order of suites decides, and no weak suite was seen"
        "die Reihenfolge des Clients entscheidet, und es war keine schwache Suite zu sehen"
        "l’ordre du client décide, et aucune suite faible n’a été vue"
        "decide el orden del cliente, y no se vio ninguna suite débil";
    CLIENT_ORDER_WEAK "client-order-weak"
        "the client's order of suites decides, and weak suites are offered"
        "die Reihenfolge des Clients entscheidet, und schwache Suites werden angeboten"
        "l’ordre du client décide, et des suites faibles sont proposées"
        "decide el orden del cliente, y se ofrecen suites débiles";
    COMPRESSION "compression"
        "the server compresses what it encrypts"
        "der Server komprimiert, was er verschlüsselt"
        "le serveur compresse ce qu’il chiffre"
        "el servidor comprime lo que cifra";
    NO_COMPRESSION "no-compression"
        "the server does not accept compression"
        "der Server nimmt keine Kompression an"
        "le serveur n’accepte pas la compression"
        "el servidor no acepta compresión";
    NO_MASTER_SECRET "no-master-secret"
        "the server ignores extended master secret"
        "der Server ignoriert Extended Master Secret"
        "le serveur ignore extended master secret"
        "el servidor ignora extended master secret";
    MASTER_SECRET "master-secret"
        "the server supports extended master secret"
        "der Server unterstützt Extended Master Secret"
        "le serveur prend en charge extended master secret"
        "el servidor admite extended master secret";
    HEARTBEAT "heartbeat"
        "the server negotiates heartbeat"
        "der Server handelt Heartbeat aus"
        "le serveur négocie heartbeat"
        "el servidor negocia heartbeat";
    NO_HEARTBEAT "no-heartbeat"
        "the server ignores heartbeat"
        "der Server ignoriert Heartbeat"
        "le serveur ignore heartbeat"
        "el servidor ignora heartbeat";
    NO_DOWNGRADE_MARK "no-downgrade-mark"
        "the server offers TLS 1.3, and does not mark older versions in its random"
        "der Server bietet TLS 1.3 an und markiert ältere Versionen nicht in seinem Zufallswert"
        "le serveur propose TLS 1.3, et ne marque pas les versions plus anciennes dans son aléa"
        "el servidor ofrece TLS 1.3 y no marca las versiones anteriores en su valor aleatorio";
    DOWNGRADE_MARK "downgrade-mark"
        "the server marks older versions in its random"
        "der Server markiert ältere Versionen in seinem Zufallswert"
        "le serveur marque les versions plus anciennes dans son aléa"
        "el servidor marca las versiones anteriores en su valor aleatorio";
    FALLBACK_ACCEPTED "fallback-accepted"
        "the server accepts an older version with TLS_FALLBACK_SCSV"
        "der Server nimmt mit TLS_FALLBACK_SCSV eine ältere Version an"
        "le serveur accepte une version plus ancienne avec TLS_FALLBACK_SCSV"
        "el servidor acepta una versión anterior con TLS_FALLBACK_SCSV";
    FALLBACK_REFUSED "fallback-refused"
        "the server refuses a fallback with TLS_FALLBACK_SCSV"
        "der Server lehnt mit TLS_FALLBACK_SCSV eine Herabstufung ab"
        "le serveur refuse un repli avec TLS_FALLBACK_SCSV"
        "el servidor rechaza una vuelta atrás con TLS_FALLBACK_SCSV";
    ASKS_FOR_CERTIFICATE "asks-for-certificate"
        "the server asks for a client certificate"
        "der Server verlangt ein Client-Zertifikat"
        "le serveur demande un certificat client"
        "el servidor pide un certificado de cliente";
    ASKS_FOR_NO_CERTIFICATE "asks-for-no-certificate"
        "the server asks for no client certificate"
        "der Server verlangt kein Client-Zertifikat"
        "le serveur ne demande pas de certificat client"
        "el servidor no pide certificado de cliente";
    NO_DHE "no-dhe"
        "finite-field Diffie-Hellman is not offered"
        "Diffie-Hellman über endlichen Körpern wird nicht angeboten"
        "Diffie-Hellman sur corps fini n’est pas proposé"
        "no se ofrece Diffie-Hellman de cuerpo finito";
    NO_DHE_HERE "no-dhe-here"
        "the server offers no finite-field Diffie-Hellman"
        "der Server bietet kein Diffie-Hellman über endlichen Körpern an"
        "le serveur ne propose pas Diffie-Hellman sur corps fini"
        "el servidor no ofrece Diffie-Hellman de cuerpo finito";
    DH_REUSED "dh-reused"
        "two connections have the same Diffie-Hellman value"
        "zwei Verbindungen haben denselben Diffie-Hellman-Wert"
        "deux connexions ont la même valeur Diffie-Hellman"
        "dos conexiones tienen el mismo valor Diffie-Hellman";
    DH_FRESH "dh-fresh"
        "each connection has a Diffie-Hellman value of its own"
        "jede Verbindung hat einen eigenen Diffie-Hellman-Wert"
        "chaque connexion a sa propre valeur Diffie-Hellman"
        "cada conexión tiene su propio valor Diffie-Hellman";
    NO_WEAK_CURVE "no-weak-curve"
        "the server accepts no weak curve"
        "der Server nimmt keine schwache Kurve an"
        "le serveur n’accepte aucune courbe faible"
        "el servidor no acepta ninguna curva débil";
    NO_LEGACY_SIGNATURE "no-legacy-signature"
        "the server does not sign its key exchange with SHA-1 or MD5"
        "der Server signiert seinen Schlüsselaustausch nicht mit SHA-1 oder MD5"
        "le serveur ne signe pas son échange de clés avec SHA-1 ou MD5"
        "el servidor no firma su intercambio de claves con SHA-1 o MD5";
    NO_RENEGOTIATION_INFO "no-renegotiation-info"
        "the server ignores renegotiation_info: secure renegotiation is not supported"
        "der Server ignoriert renegotiation_info: sichere Neuaushandlung wird nicht unterstützt"
        "le serveur ignore renegotiation_info : la renégociation sécurisée n’est pas prise en charge"
        "el servidor ignora renegotiation_info: no se admite la renegociación segura";
    CERTIFICATES_ENCRYPTED "certificates-encrypted"
        "TLS 1.3 encrypts the certificates"
        "TLS 1.3 verschlüsselt die Zertifikate"
        "TLS 1.3 chiffre les certificats"
        "TLS 1.3 cifra los certificados";
    COMPLETES_HANDSHAKES "completes-handshakes"
        "the server completes its part of each handshake"
        "der Server führt seinen Teil jedes Handshakes zu Ende"
        "le serveur mène à bien sa part de chaque handshake"
        "el servidor completa su parte de cada handshake";
    TOLERANT "tolerant"
        "the server ignores reserved values, and answers a hello without a key share"
        "der Server ignoriert reservierte Werte und beantwortet ein Hello ohne Key Share"
        "le serveur ignore les valeurs réservées, et répond à un hello sans key share"
        "el servidor ignora los valores reservados y responde a un hello sin key share";
    LONG_HELLO_UNANSWERED "long-hello-unanswered"
        "the server does not answer a hello of more than 255 octets, and answers a small one"
        "der Server beantwortet ein Hello von mehr als 255 Bytes nicht, ein kleines schon"
        "le serveur ne répond pas à un hello de plus de 255 octets, mais répond à un petit"
        "el servidor no responde a un hello de más de 255 bytes, pero sí a uno pequeño";
    RANDOM_FRESH "random-fresh"
        "the server's random does not repeat and contains no clock"
        "der Zufallswert des Servers wiederholt sich nicht und enthält keine Uhr"
        "l’aléa du serveur ne se répète pas et ne contient pas d’horloge"
        "el valor aleatorio del servidor no se repite y no contiene reloj";
    RANDOM_REPEATS "random-repeats"
        "two connections have the same random"
        "zwei Verbindungen haben denselben Zufallswert"
        "deux connexions ont le même aléa"
        "dos conexiones tienen el mismo valor aleatorio";
    RANDOM_HAS_CLOCK "random-has-clock"
        "the server's random begins with its clock"
        "der Zufallswert des Servers beginnt mit seiner Uhr"
        "l’aléa du serveur commence par son horloge"
        "el valor aleatorio del servidor empieza por su reloj";
    NULL_NOT_OFFERED "null-not-offered"
        "suites without encryption are not offered"
        "Suites ohne Verschlüsselung werden nicht angeboten"
        "les suites sans chiffrement ne sont pas proposées"
        "no se ofrecen suites sin cifrado";
    ANONYMOUS_NOT_OFFERED "anonymous-not-offered"
        "suites without authentication are not offered"
        "Suites ohne Authentisierung werden nicht angeboten"
        "les suites sans authentification ne sont pas proposées"
        "no se ofrecen suites sin autenticación";
    EXPORT_NOT_OFFERED "export-not-offered"
        "export suites are not offered"
        "Export-Suites werden nicht angeboten"
        "les suites d’exportation ne sont pas proposées"
        "no se ofrecen suites de exportación";
    WEAK_NOT_OFFERED "weak-not-offered"
        "suites with RC4, RC2 or DES are not offered"
        "Suites mit RC4, RC2 oder DES werden nicht angeboten"
        "les suites avec RC4, RC2 ou DES ne sont pas proposées"
        "no se ofrecen suites con RC4, RC2 o DES";
    BLOCKS_NOT_OFFERED "blocks-not-offered"
        "suites with 64-bit blocks are not offered"
        "Suites mit 64-Bit-Blöcken werden nicht angeboten"
        "les suites avec des blocs de 64 bits ne sont pas proposées"
        "no se ofrecen suites con bloques de 64 bits";
    STATIC_NOT_OFFERED "static-not-offered"
        "suites without forward secrecy are not offered"
        "Suites ohne Forward Secrecy werden nicht angeboten"
        "les suites sans confidentialité persistante ne sont pas proposées"
        "no se ofrecen suites sin secreto hacia adelante";
    CBC_NOT_OFFERED "cbc-not-offered"
        "suites in CBC mode are not offered"
        "Suites im CBC-Modus werden nicht angeboten"
        "les suites en mode CBC ne sont pas proposées"
        "no se ofrecen suites en modo CBC";
    EARLY_DATA_PERMITTED "early-data-permitted"
        "session tickets permit {count} octets of early data, which an attacker can replay, and no profile for this protocol \
         exists"
        "Session-Tickets erlauben {count} Bytes Early Data, die ein Angreifer wiederholen kann, und für dieses Protokoll gibt es \
         kein Profil"
        "les tickets de session permettent {count} octets de données anticipées, qu’un attaquant peut rejouer, et ce protocole \
         n’a pas de profil"
        "los tickets de sesión permiten {count} bytes de datos anticipados, que un atacante puede repetir, y no hay perfil para \
         este protocolo";
    NO_LATER_HELLO "no-later-hello"
        "no later hello succeeded, so the server may have stopped answering"
        "kein späteres Hello gelang, der Server antwortet also vielleicht nicht mehr"
        "aucun hello ultérieur n’a réussi, le serveur a donc peut-être cessé de répondre"
        "ningún hello posterior tuvo éxito, así que quizá el servidor dejó de responder";
    NO_ANSWER_IN_TIME "no-answer-in-time"
        "the server did not answer in time"
        "der Server hat nicht rechtzeitig geantwortet"
        "le serveur n’a pas répondu à temps"
        "el servidor no respondió a tiempo";
    ONLY_A_PART "only-a-part"
        "only a part of the suites was offered"
        "es wurde nur ein Teil der Suites angeboten"
        "seule une partie des suites a été proposée"
        "solo se ofreció una parte de las suites";
}
