//! What a certificate shows.

use super::sentences;

sentences! {
    NO_CERTIFICATE "no-certificate"
        "the server presents no certificate"
        "der Server zeigt kein Zertifikat"
        "le serveur ne présente pas de certificat"
        "el servidor no presenta ningún certificado";
    CERTIFICATE_UNREADABLE "certificate-unreadable"
        "the certificate cannot be read: {why}"
        "das Zertifikat ist nicht lesbar: {why}"
        "le certificat est illisible : {why}"
        "el certificado no se puede leer: {why}";
    CERTIFICATE_UNVERIFIABLE "certificate-unverifiable"
        "clients cannot verify the certificate; {why}"
        "Clients können das Zertifikat nicht prüfen; {why}"
        "les clients ne peuvent pas vérifier le certificat ; {why}"
        "los clientes no pueden verificar el certificado; {why}";
    CHAIN_TRUSTED "chain-trusted"
        "{count} certificates, up to a trusted root"
        "{count} Zertifikate bis zu einer vertrauenswürdigen Wurzel"
        "{count} certificats, jusqu’à une racine de confiance"
        "{count} certificados, hasta una raíz de confianza";
    CERTIFICATE_TRUSTED "certificate-trusted"
        "1 certificate, up to a trusted root"
        "1 Zertifikat bis zu einer vertrauenswürdigen Wurzel"
        "1 certificat, jusqu’à une racine de confiance"
        "1 certificado, hasta una raíz de confianza";
    CHAIN_UNKNOWN "chain-unknown"
        "whether the chain leads to a trusted root is unknown: {why}"
        "ob die Kette zu einer vertrauenswürdigen Wurzel führt, ist unbekannt: {why}"
        "on ignore si la chaîne mène à une racine de confiance : {why}"
        "se desconoce si la cadena conduce a una raíz de confianza: {why}";
    INTERMEDIATE_MISSING "intermediate-missing"
        "the server does not send the certificate of the issuer, {issuer}, which is probably an intermediate, or else an \
         authority that is not trusted here"
        "der Server sendet das Zertifikat des Ausstellers nicht, {issuer}; dieser ist wohl eine Zwischen-CA, sonst eine CA, \
         der hier nicht vertraut wird"
        "le serveur n’envoie pas le certificat de l’émetteur, {issuer}, sans doute une AC intermédiaire, sinon une AC à \
         laquelle on ne fait pas confiance ici"
        "el servidor no envía el certificado del emisor, {issuer}, que probablemente es una CA intermedia o, si no, una CA en \
         la que no se confía aquí";
    ISSUER_NOT_TRUSTED "issuer-not-trusted"
        "the certificate's issuer is not trusted: {issuer}, an authority that is not known here, or an intermediate that is \
         not sent"
        "dem Aussteller des Zertifikats wird nicht vertraut: {issuer}, eine hier unbekannte CA oder eine Zwischen-CA, die nicht \
         mitgesendet wird"
        "l’émetteur du certificat n’est pas de confiance : {issuer}, une AC inconnue ici, ou une AC intermédiaire qui n’est pas \
         envoyée"
        "no se confía en el emisor del certificado: {issuer}, una CA desconocida aquí o una CA intermedia que no se envía";
    ROOT_NOT_TRUSTED "root-not-trusted"
        "the chain ends at a root that is not trusted: {issuer}"
        "die Kette endet an einer Wurzel, der nicht vertraut wird: {issuer}"
        "la chaîne aboutit à une racine qui n’est pas de confiance : {issuer}"
        "la cadena termina en una raíz en la que no se confía: {issuer}";
    SELF_SIGNED "self-signed"
        "the certificate is signed by its own key, so no authority confirms its name"
        "das Zertifikat ist mit seinem eigenen Schlüssel signiert, also bestätigt keine CA seinen Namen"
        "le certificat est signé par sa propre clé, aucune AC ne confirme donc son nom"
        "el certificado está firmado con su propia clave, así que ninguna CA confirma su nombre";
    NAME_MATCHES "name-matches"
        "the certificate is for {name}"
        "das Zertifikat gilt für {name}"
        "le certificat est pour {name}"
        "el certificado es para {name}";
    NAME_DIFFERS "name-differs"
        "the certificate is not for {name}; it is for {names}"
        "das Zertifikat gilt nicht für {name}, sondern für {names}"
        "le certificat n’est pas pour {name}, mais pour {names}"
        "el certificado no es para {name}, sino para {names}";
    NAME_MISSING "name-missing"
        "the certificate is not for {name}; it has no names"
        "das Zertifikat gilt nicht für {name}; es hat keine Namen"
        "le certificat n’est pas pour {name} ; il n’a pas de nom"
        "el certificado no es para {name}; no tiene nombres";
    NO_ALTERNATIVE_NAMES "no-alternative-names"
        "the certificate has no names in subjectAltName, and clients ignore the common name"
        "das Zertifikat hat keine Namen in subjectAltName, und Clients ignorieren den Common Name"
        "le certificat n’a pas de nom dans subjectAltName, et les clients ignorent le common name"
        "el certificado no tiene nombres en subjectAltName, y los clientes ignoran el common name";
    CERTIFICATE_ENDED "certificate-ended"
        "{subject} ended on {date}"
        "{subject} ist am {date} abgelaufen"
        "{subject} a expiré le {date}"
        "{subject} caducó el {date}";
    CERTIFICATE_NOT_STARTED "certificate-not-started"
        "the certificate is not valid yet: it starts on {date}"
        "das Zertifikat ist noch nicht gültig: es beginnt am {date}"
        "le certificat n’est pas encore valable : il commence le {date}"
        "el certificado aún no es válido: empieza el {date}";
    VALID_NOW "valid-now"
        "valid now"
        "zurzeit gültig"
        "valable actuellement"
        "válido ahora";
    EXPIRED "expired"
        "it has expired"
        "es ist abgelaufen"
        "il a expiré"
        "ha caducado";
    DAYS_LEFT "days-left"
        "{count} days left"
        "noch {count} Tage"
        "encore {count} jours"
        "quedan {count} días";
    DAY_LEFT "day-left"
        "1 day left"
        "noch 1 Tag"
        "encore 1 jour"
        "queda 1 día";
    HOURS_LEFT "hours-left"
        "less than a day left"
        "noch weniger als ein Tag"
        "encore moins d’un jour"
        "queda menos de un día";
    KEY_TOO_SHORT "key-too-short"
        "the key is too short: {key}"
        "der Schlüssel ist zu kurz: {key}"
        "la clé est trop courte : {key}"
        "la clave es demasiado corta: {key}";
    SIGNED_BROKEN "signed-broken"
        "the certificate is signed with {algorithm}"
        "das Zertifikat ist mit {algorithm} signiert"
        "le certificat est signé avec {algorithm}"
        "el certificado está firmado con {algorithm}";
    SIGNED "signed"
        "signed with {algorithm}"
        "signiert mit {algorithm}"
        "signé avec {algorithm}"
        "firmado con {algorithm}";
    SIGNED_UNKNOWN "signed-unknown"
        "signed with an algorithm that is not known here: {algorithm}"
        "signiert mit einem Algorithmus, der hier nicht bekannt ist: {algorithm}"
        "signé avec un algorithme inconnu ici : {algorithm}"
        "firmado con un algoritmo desconocido aquí: {algorithm}";
    CERTIFICATE_OF_AUTHORITY "certificate-of-authority"
        "the certificate is an authority's, not a server's (CA:TRUE)"
        "das Zertifikat ist das einer CA, nicht das eines Servers (CA:TRUE)"
        "le certificat est celui d’une AC, pas d’un serveur (CA:TRUE)"
        "el certificado es de una CA, no de un servidor (CA:TRUE)";
    NOT_FOR_SERVERS "not-for-servers"
        "the certificate is not meant for servers (extendedKeyUsage lacks serverAuth)"
        "das Zertifikat ist nicht für Server bestimmt (in extendedKeyUsage fehlt serverAuth)"
        "le certificat n’est pas destiné à des serveurs (serverAuth manque dans extendedKeyUsage)"
        "el certificado no está destinado a servidores (falta serverAuth en extendedKeyUsage)";
    FOR_SERVERS "for-servers"
        "meant for servers"
        "für Server bestimmt"
        "destiné à des serveurs"
        "destinado a servidores";
    STAPLE_REQUIRED "staple-required"
        "the certificate requires a stapled OCSP response, and the server sends none"
        "das Zertifikat verlangt eine OCSP-Antwort im Handshake, und der Server sendet keine"
        "le certificat exige une réponse OCSP agrafée, et le serveur n’en envoie pas"
        "el certificado exige una respuesta OCSP adjunta y el servidor no envía ninguna";
    NO_STAPLE "no-staple"
        "the server staples no OCSP response, and the certificate does not require one"
        "der Server sendet keine OCSP-Antwort mit, und das Zertifikat verlangt keine"
        "le serveur n’agrafe pas de réponse OCSP, et le certificat n’en exige pas"
        "el servidor no adjunta respuesta OCSP, y el certificado no la exige";
    STAPLE_INVALID "staple-invalid"
        "the stapled OCSP response is invalid: {why}"
        "die mitgesendete OCSP-Antwort ist ungültig: {why}"
        "la réponse OCSP agrafée est invalide : {why}"
        "la respuesta OCSP adjunta no es válida: {why}";
    CERTIFICATE_REVOKED "certificate-revoked"
        "the stapled OCSP response reports that the certificate was revoked on {date}"
        "die mitgesendete OCSP-Antwort meldet, dass das Zertifikat am {date} widerrufen wurde"
        "la réponse OCSP agrafée signale que le certificat a été révoqué le {date}"
        "la respuesta OCSP adjunta indica que el certificado se revocó el {date}";
    NO_TIMESTAMPS_NEEDED "no-timestamps-needed"
        "no timestamps, and none are needed: the certificate has no policy of a public CA"
        "keine Zeitstempel, und es werden keine gebraucht: Das Zertifikat hat keine Policy einer öffentlichen CA"
        "pas d’horodatage, et aucun n’est nécessaire : le certificat n’a pas de politique d’une AC publique"
        "sin marcas de tiempo, y no hacen falta: el certificado no tiene la política de una CA pública";
    NO_TIMESTAMPS "no-timestamps"
        "no signed certificate timestamps in the certificate, the handshake or an OCSP response"
        "keine Signed Certificate Timestamps im Zertifikat, im Handshake oder in einer OCSP-Antwort"
        "pas d’horodatage de certificat signé dans le certificat, le handshake ou une réponse OCSP"
        "sin marcas de tiempo firmadas en el certificado, el handshake o una respuesta OCSP";
    NO_TIMESTAMPS_SEEN "no-timestamps-seen"
        "no signed certificate timestamps in the certificate or an OCSP response; the handshake was not asked"
        "keine Signed Certificate Timestamps im Zertifikat oder in einer OCSP-Antwort; der Handshake wurde nicht gefragt"
        "pas d’horodatage de certificat signé dans le certificat ou une réponse OCSP ; le handshake n’a pas été interrogé"
        "sin marcas de tiempo firmadas en el certificado o una respuesta OCSP; no se preguntó al handshake";
    SAME_WITHOUT_SNI "same-without-sni"
        "without a name in SNI, the server presents the same certificate"
        "ohne Namen in SNI zeigt der Server dasselbe Zertifikat"
        "sans nom dans SNI, le serveur présente le même certificat"
        "sin nombre en SNI, el servidor presenta el mismo certificado";
    OTHER_WITHOUT_SNI "other-without-sni"
        "without a name in SNI, the server presents another certificate: {names}"
        "ohne Namen in SNI zeigt der Server ein anderes Zertifikat: {names}"
        "sans nom dans SNI, le serveur présente un autre certificat : {names}"
        "sin nombre en SNI, el servidor presenta otro certificado: {names}";
    SAME_WITH_UNKNOWN_SNI "same-with-unknown-sni"
        "with an unknown name in SNI, the server presents the same certificate"
        "bei einem unbekannten Namen in SNI zeigt der Server dasselbe Zertifikat"
        "avec un nom inconnu dans SNI, le serveur présente le même certificat"
        "con un nombre desconocido en SNI, el servidor presenta el mismo certificado";
    OTHER_WITH_UNKNOWN_SNI "other-with-unknown-sni"
        "with an unknown name in SNI, the server presents another certificate: {names}"
        "bei einem unbekannten Namen in SNI zeigt der Server ein anderes Zertifikat: {names}"
        "avec un nom inconnu dans SNI, le serveur présente un autre certificat : {names}"
        "con un nombre desconocido en SNI, el servidor presenta otro certificado: {names}";
    DAYS_LEFT_BY_INTERMEDIATE "days-left-by-intermediate"
        "{count} days left, by the intermediate {subject}"
        "noch {count} Tage, wegen des Zwischenzertifikats {subject}"
        "encore {count} jours, à cause de l’intermédiaire {subject}"
        "quedan {count} días, por el intermedio {subject}";
    ONE_CERTIFICATE "one-certificate"
        "one certificate, {key}"
        "ein Zertifikat, {key}"
        "un seul certificat, {key}"
        "un solo certificado, {key}";
}
