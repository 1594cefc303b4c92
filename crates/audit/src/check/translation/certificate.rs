//! The checks of the certificate.

use super::{CheckText, Translation};

pub(super) const ROWS: &[Translation] = &[
    Translation {
        id: "cert-chain",
        german: CheckText {
            title: "das Zertifikat führt nicht zu einer vertrauenswürdigen Wurzel",
            why: "Clients, die Zertifikate prüfen, lehnen die Verbindung ab. Clients ohne Prüfung können \
                diesen Server nicht von einem Angreifer unterscheiden. Die Prüfung vertraut den Wurzeln \
                des Systems und denen, die der Benutzer hinzugefügt hat.",
            fix: "Verwenden Sie ein Zertifikat von einer CA, der Ihre Clients vertrauen, etwa über ACME, \
                oder installieren Sie Ihre eigene Wurzel auf allen Clients und fügen Sie sie den Wurzeln \
                dieser Prüfung hinzu. Ist der Aussteller eine Zwischen-CA, muss der Server deren \
                Zertifikat mitsenden („fullchain“).",
        },
        french: CheckText {
            title: "le certificat ne mène pas à une racine de confiance",
            why: "Les clients qui vérifient les certificats refusent la connexion. Ceux qui ne vérifient \
                pas ne peuvent distinguer ce serveur d’un attaquant. L’audit fait confiance aux racines du \
                système et à celles que l’utilisateur a ajoutées.",
            fix: "Utilisez un certificat d’une AC à laquelle vos clients font confiance, par exemple via \
                ACME, ou installez votre propre racine sur chaque client et ajoutez-la aux racines de cet \
                audit. Si l’émetteur est une AC intermédiaire, le serveur doit envoyer son certificat (« \
                fullchain »).",
        },
        spanish: CheckText {
            title: "el certificado no conduce a una raíz de confianza",
            why: "Los clientes que verifican certificados rechazan la conexión. Los que no verifican no \
                pueden distinguir este servidor de un atacante. La auditoría confía en las raíces del \
                sistema y en las que añadió el usuario.",
            fix: "Use un certificado de una CA en la que confíen sus clientes, por ejemplo con ACME, o \
                instale su propia raíz en todos los clientes y añádala a las raíces de esta auditoría. Si \
                el emisor es una CA intermedia, el servidor debe enviar su certificado («fullchain»).",
        },
    },
    Translation {
        id: "cert-incomplete",
        german: CheckText {
            title: "der Server sendet ein Zwischenzertifikat nicht mit",
            why: "Der Server sendet sein eigenes Zertifikat ohne das Zertifikat, das es mit der Wurzel \
                verbindet. Clients, die das Zwischenzertifikat schon kennen, verbinden sich, alle anderen \
                scheitern. Deshalb sieht der Fehler wie ein Fehler des Clients aus.",
            fix: "Konfigurieren Sie die Datei mit der ganzen Kette („fullchain“): zuerst das Zertifikat \
                des Servers, dann jedes Zwischenzertifikat; die Wurzel kann fehlen. Ist der Aussteller \
                Ihre eigene Wurzel, fügen Sie sie den Wurzeln dieser Prüfung hinzu.",
        },
        french: CheckText {
            title: "le serveur n’envoie pas un certificat intermédiaire",
            why: "Le serveur envoie son propre certificat sans celui qui le relie à la racine. Les clients \
                qui connaissent déjà le certificat intermédiaire se connectent et tous les autres \
                échouent, si bien que l’erreur semble venir du client.",
            fix: "Configurez le fichier contenant toute la chaîne (« fullchain ») : d’abord le certificat \
                du serveur, puis chaque certificat intermédiaire ; la racine est facultative. Si \
                l’émetteur est votre propre racine, ajoutez-la aux racines de cet audit.",
        },
        spanish: CheckText {
            title: "el servidor no envía un certificado intermedio",
            why: "El servidor envía su propio certificado sin el que lo une con la raíz. Los clientes que \
                ya conocen el certificado intermedio se conectan y los demás fallan, así que el error \
                parece del cliente.",
            fix: "Configure el archivo con toda la cadena («fullchain»): primero el certificado del \
                servidor y después cada certificado intermedio; la raíz es opcional. Si el emisor es su \
                propia raíz, añádala a las raíces de esta auditoría.",
        },
    },
    Translation {
        id: "cert-self-signed",
        german: CheckText {
            title: "das Zertifikat ist selbstsigniert",
            why: "Keine CA bestätigt den Namen im Zertifikat, also kann ein Angreifer eines erstellen, das \
                genauso aussieht. Clients lehnen es ab oder sind so eingestellt, dass sie jedes Zertifikat \
                annehmen.",
            fix: "Ersetzen Sie das Zertifikat durch eines von einer CA, etwa über ACME. Wenn sich nur \
                bekannte Clients verbinden, können Sie es mit DANE festlegen oder dort als Wurzel \
                installieren.",
        },
        french: CheckText {
            title: "le certificat est auto-signé",
            why: "Aucune AC ne confirme le nom du certificat, un attaquant peut donc en créer un identique \
                en apparence. Les clients le refusent ou sont réglés pour accepter n’importe quel \
                certificat.",
            fix: "Remplacez-le par un certificat d’une AC, par exemple via ACME. Si seuls des clients \
                connus se connectent, épinglez-le avec DANE ou installez-le chez eux comme racine.",
        },
        spanish: CheckText {
            title: "el certificado está autofirmado",
            why: "Ninguna CA confirma el nombre del certificado, así que un atacante puede crear uno que \
                parezca igual. Los clientes lo rechazan o están configurados para aceptar cualquier \
                certificado.",
            fix: "Sustitúyalo por un certificado de una CA, por ejemplo con ACME. Si solo se conectan \
                clientes conocidos, fíjelo con DANE o instálelo en ellos como raíz.",
        },
    },
    Translation {
        id: "cert-name",
        german: CheckText {
            title: "das Zertifikat gilt nicht für den Namen des Servers",
            why: "Ein Client, der Zertifikate prüft, vergleicht den Namen, den er kennt, mit den Namen im \
                Zertifikat und lehnt die Verbindung ab, wenn keiner passt. Bei Mail ist das der Host im \
                MX-Record oder in den Einstellungen des Clients, bei XMPP die Domain.",
            fix: "Lassen Sie ein Zertifikat ausstellen, das jeden Namen enthält, den Clients verwenden. \
                Ändern Sie sonst die Einstellungen der Clients, den MX- oder den SRV-Record auf einen \
                Namen im Zertifikat; der Bericht nennt sie.",
        },
        french: CheckText {
            title: "le certificat n’est pas valable pour le nom du serveur",
            why: "Un client qui vérifie les certificats compare le nom qu’il connaît à ceux du certificat, \
                et refuse la connexion si aucun ne correspond. Pour le courrier, c’est l’hôte de \
                l’enregistrement MX ou des réglages du client ; pour XMPP, c’est le domaine.",
            fix: "Faites émettre un certificat qui contient chaque nom utilisé par les clients. Sinon, \
                remplacez dans les réglages des clients, l’enregistrement MX ou SRV le nom par un de ceux \
                du certificat ; le rapport les indique.",
        },
        spanish: CheckText {
            title: "el certificado no es válido para el nombre del servidor",
            why: "Un cliente que verifica certificados compara el nombre que conoce con los del \
                certificado y rechaza la conexión si ninguno coincide. En el correo es el host del \
                registro MX o de la configuración del cliente; en XMPP, el dominio.",
            fix: "Emita un certificado que contenga todos los nombres que usan los clientes. Si no, cambie \
                la configuración de los clientes, el registro MX o el SRV a un nombre del certificado; el \
                informe los indica.",
        },
    },
    Translation {
        id: "cert-dates",
        german: CheckText {
            title: "das Zertifikat ist abgelaufen oder noch nicht gültig",
            why: "Clients, die Zertifikate prüfen, lehnen die Verbindung ab. Wer sich daran gewöhnt, diese \
                Warnung zu übergehen, übergeht sie auch bei einem Angriff.",
            fix: "Erneuern Sie das Zertifikat und laden Sie den Dienst neu: Eine Erneuerung ohne Reload \
                ist die übliche Ursache. Prüfen Sie die Uhr des Servers, wenn die Daten richtig aussehen.",
        },
        french: CheckText {
            title: "le certificat a expiré ou n’est pas encore valable",
            why: "Les clients qui vérifient les certificats refusent la connexion. Les utilisateurs qui \
                apprennent à ignorer cet avertissement l’ignorent aussi pendant une attaque.",
            fix: "Renouvelez le certificat et rechargez le service : un renouvellement sans rechargement \
                est la cause habituelle. Vérifiez l’horloge du serveur si les dates semblent correctes.",
        },
        spanish: CheckText {
            title: "el certificado ha caducado o aún no es válido",
            why: "Los clientes que verifican certificados rechazan la conexión. Quien se acostumbra a \
                ignorar este aviso también lo ignora durante un ataque.",
            fix: "Renueve el certificado y recargue el servicio: una renovación sin recarga es la causa \
                habitual. Revise el reloj del servidor si las fechas parecen correctas.",
        },
    },
    Translation {
        id: "cert-expiry",
        german: CheckText {
            title: "das Zertifikat läuft bald ab",
            why: "Eine automatische Erneuerung hätte das Zertifikat schon ersetzen sollen. Wenn es \
                abläuft, können sich alle Clients, die Zertifikate prüfen, zur selben Zeit nicht mehr \
                verbinden.",
            fix: "Sehen Sie im Log der Erneuerung nach, erneuern Sie das Zertifikat jetzt und laden Sie \
                den Dienst neu. Ergänzen Sie einen Hook, der jeden Dienst mit diesem Zertifikat neu lädt.",
        },
        french: CheckText {
            title: "le certificat expire bientôt",
            why: "Un renouvellement automatique aurait déjà dû remplacer le certificat. À son expiration, \
                tous les clients qui vérifient les certificats cesseront de se connecter en même temps.",
            fix: "Consultez le journal du renouvellement, renouvelez le certificat maintenant et rechargez \
                le service. Ajoutez un hook qui recharge chaque service utilisant ce certificat.",
        },
        spanish: CheckText {
            title: "el certificado caduca pronto",
            why: "Una renovación automática ya debería haber sustituido el certificado. Cuando caduque, \
                todos los clientes que verifican certificados dejarán de conectarse a la vez.",
            fix: "Revise el registro de la renovación, renueve el certificado ahora y recargue el \
                servicio. Añada un hook que recargue cada servicio con este certificado.",
        },
    },
    Translation {
        id: "cert-key",
        german: CheckText {
            title: "der Schlüssel des Zertifikats ist zu schwach",
            why: "Ein Angreifer mit genug Rechenleistung kann RSA-Schlüssel unter 2048 Bit und elliptische \
                Kurven unter 256 Bit brechen und sich dann als dieser Server ausgeben. Aktuelle Clients \
                und CAs lehnen solche Schlüssel ab.",
            fix: "Erzeugen Sie einen neuen Schlüssel (EC P-256 oder RSA mit mindestens 2048 Bit) und \
                beantragen Sie dafür ein neues Zertifikat.",
        },
        french: CheckText {
            title: "la clé du certificat est trop faible",
            why: "Un attaquant disposant d’assez de puissance de calcul peut casser les clés RSA de moins \
                de 2048 bits et les courbes elliptiques de moins de 256 bits, puis se faire passer pour ce \
                serveur. Les clients et AC actuels refusent ces clés.",
            fix: "Générez une nouvelle clé (EC P-256, ou RSA d’au moins 2048 bits) et demandez un nouveau \
                certificat pour elle.",
        },
        spanish: CheckText {
            title: "la clave del certificado es demasiado débil",
            why: "Un atacante con suficiente capacidad de cálculo puede romper claves RSA de menos de 2048 \
                bits y curvas elípticas de menos de 256 bits, y hacerse pasar por este servidor. Los \
                clientes y las CA actuales rechazan esas claves.",
            fix: "Genere una clave nueva (EC P-256 o RSA de al menos 2048 bits) y solicite un certificado \
                nuevo para ella.",
        },
    },
    Translation {
        id: "cert-signature",
        german: CheckText {
            title: "eine Signatur in der Kette verwendet einen gebrochenen Algorithmus",
            why: "Kollisionen von MD5 und SHA-1 lassen sich berechnen, also kann ein Zertifikat mit so \
                einer Signatur gefälscht werden. Aktuelle TLS-Bibliotheken lehnen die Kette ab. Die \
                Signatur der Wurzel selbst spielt keine Rolle, weil kein Client sie prüft.",
            fix: "Beantragen Sie ein neues Zertifikat, das mit SHA-256 oder besser signiert ist, und \
                ersetzen Sie alte Zwischenzertifikate.",
        },
        french: CheckText {
            title: "une signature de la chaîne utilise un algorithme cassé",
            why: "Les collisions de MD5 et de SHA-1 sont calculables, un certificat ainsi signé peut donc \
                être falsifié. Les bibliothèques TLS actuelles refusent la chaîne. La signature de la \
                racine elle-même n’importe pas, car aucun client ne la vérifie.",
            fix: "Demandez un nouveau certificat signé avec SHA-256 ou mieux, et remplacez les anciens \
                certificats intermédiaires.",
        },
        spanish: CheckText {
            title: "una firma de la cadena usa un algoritmo roto",
            why: "Las colisiones de MD5 y SHA-1 se pueden calcular, así que un certificado con esa firma \
                se puede falsificar. Las bibliotecas TLS actuales rechazan la cadena. La firma de la \
                propia raíz no importa, porque ningún cliente la verifica.",
            fix: "Solicite un certificado nuevo firmado con SHA-256 o mejor y sustituya los certificados \
                intermedios antiguos.",
        },
    },
    Translation {
        id: "cert-usage",
        german: CheckText {
            title: "das Zertifikat ist nicht für Server ausgestellt",
            why: "Key Usage oder Extended Key Usage schließen TLS-Server aus: Das Zertifikat wurde für \
                einen Client, für Codesignatur oder für eine CA ausgestellt. Strenge Clients lehnen es ab.",
            fix: "Beantragen Sie ein Zertifikat mit serverAuth in Extended Key Usage, mit digitalSignature \
                in Key Usage und ohne CA-Flag.",
        },
        french: CheckText {
            title: "le certificat n’est pas émis pour des serveurs",
            why: "L’usage de clé (key usage ou extended key usage) exclut les serveurs TLS : le certificat \
                a été émis pour un client, pour la signature de code ou pour une AC. Les clients stricts \
                le refusent.",
            fix: "Demandez un certificat avec serverAuth dans extended key usage, digitalSignature dans \
                key usage, et sans l’indicateur CA.",
        },
        spanish: CheckText {
            title: "el certificado no está emitido para servidores",
            why: "El uso de la clave (key usage o extended key usage) excluye los servidores TLS: el \
                certificado se emitió para un cliente, para firmar código o para una CA. Los clientes \
                estrictos lo rechazan.",
            fix: "Solicite un certificado con serverAuth en extended key usage, con digitalSignature en \
                key usage y sin el indicador CA.",
        },
    },
    Translation {
        id: "cert-san",
        german: CheckText {
            title: "das Zertifikat hat keine brauchbaren Namen in subjectAltName",
            why: "Clients lesen die Namen aus der Erweiterung subjectAltName und ignorieren den Common \
                Name. Ohne die Erweiterung finden aktuelle Clients keinen Namen. Eine Liste mit internen \
                Namen oder breiten Wildcards verrät Angreifern mehr als nötig.",
            fix: "Beantragen Sie ein Zertifikat mit jedem öffentlichen Namen in subjectAltName (auch als \
                SRV-ID oder XmppAddr, wenn das Protokoll es verlangt) und ohne interne Namen.",
        },
        french: CheckText {
            title: "le certificat n’a pas de nom utilisable dans subjectAltName",
            why: "Les clients lisent les noms de l’extension subjectAltName et ignorent le common name. \
                Sans l’extension, les clients actuels ne trouvent aucun nom. Une liste avec des noms \
                internes ou des jokers larges en révèle plus que nécessaire aux attaquants.",
            fix: "Demandez un certificat avec chaque nom public dans subjectAltName (aussi comme SRV-ID ou \
                XmppAddr si le protocole l’exige), et sans noms internes.",
        },
        spanish: CheckText {
            title: "el certificado no tiene nombres utilizables en subjectAltName",
            why: "Los clientes leen los nombres de la extensión subjectAltName e ignoran el common name. \
                Sin la extensión, los clientes actuales no encuentran ningún nombre. Una lista con nombres \
                internos o comodines amplios revela a los atacantes más de lo necesario.",
            fix: "Solicite un certificado con cada nombre público en subjectAltName (también como SRV-ID o \
                XmppAddr si el protocolo lo exige) y sin nombres internos.",
        },
    },
    Translation {
        id: "cert-ocsp",
        german: CheckText {
            title: "die mitgesendete OCSP-Antwort ist ungültig, oder eine vorgeschriebene fehlt",
            why: "Eine Antwort zeigt, dass die CA das Zertifikat nicht widerrufen hat. Sie muss dieses \
                Zertifikat betreffen, von der CA signiert und aktuell sein; meldet sie einen Widerruf, ist \
                das kritisch. Clients lehnen ein Zertifikat mit „must staple“ ohne gültige Antwort ab; \
                ohne must-staple ist eine fehlende Antwort kein Fehler.",
            fix: "Aktivieren Sie OCSP-Stapling und erlauben Sie dem Server den Zugriff auf den Responder \
                der CA, oder beantragen Sie ein Zertifikat ohne must-staple. Kurzlebige Zertifikate \
                brauchen beides nicht.",
        },
        french: CheckText {
            title: "la réponse OCSP agrafée est invalide, ou une réponse obligatoire manque",
            why: "Une réponse montre que l’AC n’a pas révoqué le certificat. Elle doit porter sur ce \
                certificat, être signée par l’AC et à jour ; une réponse qui signale une révocation est \
                critique. Les clients refusent un certificat « must staple » sans réponse valide ; sans \
                must-staple, une réponse absente n’est pas une faute.",
            fix: "Activez l’agrafage OCSP et permettez au serveur de joindre le répondeur de l’AC, ou \
                demandez un certificat sans must-staple. Les certificats de courte durée n’ont besoin \
                d’aucun des deux.",
        },
        spanish: CheckText {
            title: "la respuesta OCSP adjunta no es válida, o falta una obligatoria",
            why: "Una respuesta muestra que la CA no ha revocado el certificado. Debe tratar de este \
                certificado, estar firmada por la CA y ser actual; una respuesta que indica una revocación \
                es crítica. Los clientes rechazan un certificado con «must staple» sin respuesta válida; \
                sin must-staple, que falte no es un fallo.",
            fix: "Active OCSP stapling y permita que el servidor llegue al servidor OCSP de la CA, o \
                solicite un certificado sin must-staple. Los certificados de corta duración no necesitan \
                nada de esto.",
        },
    },
    Translation {
        id: "cert-transparency",
        german: CheckText {
            title: "es werden keine Signed Certificate Timestamps gesendet",
            why: "Öffentliche CAs protokollieren jedes Zertifikat, und ein Zeitstempel beweist das. In \
                einem Log sind Zertifikate zu sehen, die eine CA irrtümlich oder für einen Angreifer \
                ausgestellt hat. Browser lehnen Zertifikate öffentlicher CAs ohne Zeitstempel ab; \
                Mail-Clients verlangen keine, und private CAs haben keine.",
            fix: "Beantragen Sie bei einer öffentlichen CA ein Zertifikat mit eingebetteten Zeitstempeln; \
                alle stellen solche standardmäßig aus.",
        },
        french: CheckText {
            title: "aucun horodatage de certificat signé (SCT) n’est envoyé",
            why: "Les AC publiques journalisent chaque certificat, et un horodatage le prouve. Un journal \
                montre les certificats émis par erreur ou pour un attaquant. Les navigateurs refusent les \
                certificats d’AC publiques sans horodatage ; les clients de messagerie n’en demandent pas, \
                et les AC privées n’en ont pas.",
            fix: "Pour une AC publique, demandez un certificat avec horodatages intégrés, comme toutes en \
                émettent par défaut.",
        },
        spanish: CheckText {
            title: "no se envían marcas de tiempo de certificado firmadas (SCT)",
            why: "Las CA públicas registran cada certificado, y una marca de tiempo lo demuestra. Un \
                registro muestra los certificados que una CA emitió por error o a un atacante. Los \
                navegadores rechazan certificados de CA públicas sin marcas; los clientes de correo no las \
                piden y las CA privadas no las tienen.",
            fix: "Con una CA pública, solicite un certificado con marcas incluidas, como todas emiten por \
                defecto.",
        },
    },
    Translation {
        id: "cert-no-sni",
        german: CheckText {
            title: "der Server zeigt ohne SNI ein anderes Zertifikat",
            why: "Manche Clients, auch Mailserver, verbinden sich ohne Servernamen (SNI). Von dem \
                Zertifikat, das sie dann erhalten, hängt ab, ob sie den Server prüfen können, und es \
                zeigt, welche Namen sich die Adresse teilen.",
            fix: "Konfigurieren Sie das Zertifikat für den Namen im MX-Record als Standard dieses Listeners.",
        },
        french: CheckText {
            title: "le serveur présente un autre certificat sans SNI",
            why: "Certains clients, dont des serveurs de messagerie, se connectent sans nom de serveur \
                (SNI). Le certificat qu’ils reçoivent détermine s’ils peuvent vérifier le serveur, et \
                montre quels noms partagent l’adresse.",
            fix: "Configurez le certificat du nom de l’enregistrement MX comme certificat par défaut de \
                cet écouteur.",
        },
        spanish: CheckText {
            title: "el servidor presenta otro certificado sin SNI",
            why: "Algunos clientes, también servidores de correo, se conectan sin nombre de servidor \
                (SNI). Del certificado que reciben depende que puedan verificar el servidor, y muestra qué \
                nombres comparten la dirección.",
            fix: "Configure el certificado del nombre del registro MX como predeterminado de este puerto.",
        },
    },
    Translation {
        id: "cert-unknown-sni",
        german: CheckText {
            title: "wie der Server auf einen unbekannten Servernamen reagiert",
            why: "Bei einem unbekannten Namen in SNI darf ein Server den Handshake ablehnen oder sein \
                Standardzertifikat zeigen; beides ist erlaubt. Ein Absturz, ein Timeout oder das \
                Zertifikat eines anderen Kunden ist ein Konfigurationsfehler.",
            fix: "Konfigurieren Sie ein Standardzertifikat für unbekannte Namen oder lehnen Sie sie mit \
                dem Alert unrecognized_name ab.",
        },
        french: CheckText {
            title: "réaction du serveur à un nom de serveur inconnu",
            why: "Pour un nom inconnu dans SNI, un serveur peut refuser le handshake ou présenter son \
                certificat par défaut ; les deux sont permis. Un plantage, un délai dépassé ou le \
                certificat d’un autre client est une erreur de configuration.",
            fix: "Configurez un certificat par défaut pour les noms inconnus, ou refusez-les avec l’alerte \
                unrecognized_name.",
        },
        spanish: CheckText {
            title: "cómo responde el servidor a un nombre de servidor desconocido",
            why: "Con un nombre desconocido en SNI, un servidor puede rechazar el handshake o presentar su \
                certificado predeterminado; ambas cosas están permitidas. Una caída, un tiempo agotado o \
                el certificado de otro cliente es un error de configuración.",
            fix: "Configure un certificado predeterminado para nombres desconocidos, o rechácelos con la \
                alerta unrecognized_name.",
        },
    },
    Translation {
        id: "cert-types",
        german: CheckText {
            title: "die Zertifikate für RSA und für ECDSA unterscheiden sich",
            why: "Ein Server kann Clients mit ECDSA ein anderes Zertifikat zeigen als solchen, die nur RSA \
                können. Wenn sich Namen oder Daten unterscheiden, scheitern manche Clients, während andere \
                sich verbinden, und das ist schwer zu finden.",
            fix: "Beantragen Sie beide Zertifikate für dieselben Namen und erneuern Sie sie gemeinsam.",
        },
        french: CheckText {
            title: "les certificats RSA et ECDSA diffèrent",
            why: "Un serveur peut présenter un certificat aux clients ECDSA et un autre à ceux qui n’ont \
                que RSA. Si les noms ou les dates diffèrent, certains clients échouent alors que d’autres \
                se connectent, ce qui est difficile à trouver.",
            fix: "Demandez les deux certificats pour les mêmes noms, et renouvelez-les ensemble.",
        },
        spanish: CheckText {
            title: "los certificados para RSA y para ECDSA son distintos",
            why: "Un servidor puede presentar un certificado a los clientes con ECDSA y otro a los que \
                solo tienen RSA. Si los nombres o las fechas difieren, unos clientes fallan mientras otros \
                se conectan, y es difícil de encontrar.",
            fix: "Solicite ambos certificados para los mismos nombres y renuévelos juntos.",
        },
    },
];
