//! The checks of what a server offers in TLS.

use super::{CheckText, Translation};

pub(super) const ROWS: &[Translation] = &[
    Translation {
        id: "tls-inventory",
        german: CheckText {
            title: "die Versionen, Suites und Gruppen, die der Server anbietet",
            why: "Die Prüfung sendet ClientHellos, die ihre TLS-Bibliothek nicht senden kann, eines je \
                Verbindung, und liest die Antwort des Servers, ohne einen Handshake abzuschließen. Eine \
                kurze Erhebung nennt die Klassen der Suites, eine größere fragt nach mehr.",
            fix: "Vergleichen Sie das Verzeichnis mit der Konfiguration und schalten Sie ab, was kein \
                Client braucht.",
        },
        french: CheckText {
            title: "les versions, suites et groupes que le serveur propose",
            why: "L’audit envoie des ClientHello que sa bibliothèque TLS ne peut pas envoyer, un par \
                connexion, et lit la réponse du serveur sans terminer de handshake. Un inventaire bref \
                indique les classes de suites ; un plus large demande davantage.",
            fix: "Comparez l’inventaire à la configuration, et désactivez ce dont aucun client n’a besoin.",
        },
        spanish: CheckText {
            title: "las versiones, suites y grupos que ofrece el servidor",
            why: "La auditoría envía ClientHello que su biblioteca TLS no puede enviar, uno por conexión, \
                y lee la respuesta del servidor sin completar un handshake. Un inventario breve indica las \
                clases de suites; uno mayor pregunta más.",
            fix: "Compare el inventario con la configuración y desactive lo que ningún cliente necesita.",
        },
    },
    Translation {
        id: "tls-profile",
        german: CheckText {
            title: "der Server erfüllt das gewählte TLS-Profil nicht",
            why: "Ein Profil enthält die Anforderungen einer Richtlinie, etwa von RFC 9325, oder Ihrer \
                eigenen Datei. Die Prüfung vergleicht den Server damit und meldet eine Zeile je \
                Anforderung. Eine Anforderung, nach der die Erhebung nicht gefragt hat, ist ergebnislos, \
                nie erfüllt.",
            fix: "Ändern Sie die Konfiguration des Servers für jede nicht erfüllte Zeile, oder wählen Sie \
                das Profil, das zu den Clients des Servers passt.",
        },
        french: CheckText {
            title: "le serveur ne respecte pas le profil TLS choisi",
            why: "Un profil contient les exigences d’un guide, comme RFC 9325, ou de votre propre fichier. \
                Le contrôle y compare le serveur et donne une ligne par exigence. Une exigence que \
                l’inventaire n’a pas demandée est non concluante, jamais respectée.",
            fix: "Modifiez la configuration du serveur pour chaque ligne en échec, ou choisissez le profil \
                qui convient aux clients du serveur.",
        },
        spanish: CheckText {
            title: "el servidor no cumple el perfil TLS elegido",
            why: "Un perfil contiene los requisitos de una guía, como RFC 9325, o de su propio archivo. La \
                comprobación compara el servidor con él y da una fila por requisito. Un requisito que el \
                inventario no preguntó queda como no concluyente, nunca cumplido.",
            fix: "Cambie la configuración del servidor para cada fila fallida, o elija el perfil que \
                corresponda a los clientes del servidor.",
        },
    },
    Translation {
        id: "tls-ssl",
        german: CheckText {
            title: "der Server bietet SSL 2.0 oder SSL 3.0 an",
            why: "Mit SSL 3.0 kann ein Angreifer Passwörter und Cookies entschlüsseln (POODLE). SSL 2.0 \
                gefährdet die Sitzungen jedes Servers mit demselben Schlüssel, welche Version sie auch \
                verwenden (DROWN). Kein aktueller Client braucht eines davon.",
            fix: "Beschränken Sie den Server auf TLS 1.2 und TLS 1.3. Wurde SSL 2.0 angeboten, ersetzen \
                Sie auch den Schlüssel auf jedem Server, der ihn verwendet.",
        },
        french: CheckText {
            title: "le serveur propose SSL 2.0 ou SSL 3.0",
            why: "SSL 3.0 permet à un attaquant de déchiffrer mots de passe et cookies (POODLE). SSL 2.0 \
                expose les sessions de tous les serveurs qui ont la même clé, quelle que soit leur version \
                (DROWN). Aucun client actuel n’en a besoin.",
            fix: "Limitez le serveur à TLS 1.2 et TLS 1.3. Si SSL 2.0 était proposé, remplacez aussi la \
                clé sur chaque serveur qui l’utilise.",
        },
        spanish: CheckText {
            title: "el servidor ofrece SSL 2.0 o SSL 3.0",
            why: "SSL 3.0 permite a un atacante descifrar contraseñas y cookies (POODLE). SSL 2.0 expone \
                las sesiones de todos los servidores con la misma clave, sea cual sea la versión que usen \
                (DROWN). Ningún cliente actual los necesita.",
            fix: "Limite el servidor a TLS 1.2 y TLS 1.3. Si se ofrecía SSL 2.0, sustituya también la \
                clave en cada servidor que la use.",
        },
    },
    Translation {
        id: "tls-deprecated",
        german: CheckText {
            title: "der Server bietet TLS 1.0 oder TLS 1.1 an",
            why: "Diese Versionen signieren den Schlüsselaustausch mit SHA-1 und MD5 und haben keine \
                authentisierte Verschlüsselung. Ein Angreifer kann einen Client herabstufen, der sie noch \
                akzeptiert. Bei einem Server, an den andere Mailserver zustellen, ist das nur ein Hinweis, \
                weil Absender ohne TLS 1.2 sonst auf Klartext zurückfallen.",
            fix: "Setzen Sie die Mindestversion auf TLS 1.2.",
        },
        french: CheckText {
            title: "le serveur propose TLS 1.0 ou TLS 1.1",
            why: "Ces versions signent l’échange de clés avec SHA-1 et MD5, et n’ont pas de chiffrement \
                authentifié. Un attaquant peut rétrograder un client qui les accepte encore. Pour un \
                serveur auquel d’autres serveurs de messagerie livrent, ce n’est qu’une remarque, car les \
                expéditeurs sans TLS 1.2 retomberaient en clair.",
            fix: "Fixez la version minimale à TLS 1.2.",
        },
        spanish: CheckText {
            title: "el servidor ofrece TLS 1.0 o TLS 1.1",
            why: "Estas versiones firman el intercambio de claves con SHA-1 y MD5 y no tienen cifrado \
                autenticado. Un atacante puede degradar a un cliente que aún las acepte. En un servidor al \
                que entregan otros servidores de correo es solo una observación, porque los remitentes sin \
                TLS 1.2 volverían al texto claro.",
            fix: "Fije la versión mínima en TLS 1.2.",
        },
    },
    Translation {
        id: "tls-null",
        german: CheckText {
            title: "der Server bietet Suites ohne Verschlüsselung an",
            why: "Mit einer NULL-Suite ist alles im Netz lesbar, auch Passwörter, obwohl die Verbindung \
                TLS meldet. Ein Angreifer, der den Handshake eines nachlässigen Clients beeinflussen kann, \
                wählt so eine Suite.",
            fix: "Entfernen Sie eNULL (OpenSSL) oder NULL (GnuTLS) aus der Liste der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur propose des suites sans chiffrement",
            why: "Avec une suite NULL, tout est lisible sur le réseau, mots de passe compris, alors que la \
                connexion annonce TLS. Un attaquant qui peut influencer le handshake d’un client négligent \
                choisit une telle suite.",
            fix: "Retirez eNULL (OpenSSL) ou NULL (GnuTLS) de la liste des suites de chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites sin cifrado",
            why: "Con una suite NULL todo se puede leer en la red, también las contraseñas, aunque la \
                conexión indique TLS. Un atacante que puede influir en el handshake de un cliente \
                descuidado elige una suite así.",
            fix: "Quite eNULL (OpenSSL) o NULL (GnuTLS) de la lista de suites de cifrado.",
        },
    },
    Translation {
        id: "tls-anon",
        german: CheckText {
            title: "der Server bietet Suites ohne Authentisierung an",
            why: "Mit einer anonymen Suite zeigt der Server kein Zertifikat, also kann ein Angreifer auf \
                dem Übertragungsweg an seine Stelle treten. Ein Client, der eine annimmt, ist nicht \
                geschützt. Bei einem Server, an den andere Mailserver zustellen, ist das nur ein Hinweis: \
                Opportunistische Absender prüfen kein Zertifikat.",
            fix: "Entfernen Sie aNULL (OpenSSL) oder die ANON-Schlüsselaustausche (GnuTLS) aus der Liste \
                der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur propose des suites sans authentification",
            why: "Avec une suite anonyme, le serveur ne présente pas de certificat, un attaquant sur le \
                chemin peut donc prendre sa place. Un client qui en accepte une n’est pas protégé. Pour un \
                serveur auquel d’autres serveurs de messagerie livrent, ce n’est qu’une remarque : les \
                expéditeurs opportunistes ne vérifient aucun certificat.",
            fix: "Retirez aNULL (OpenSSL) ou les échanges de clés ANON (GnuTLS) de la liste des suites de \
                chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites sin autenticación",
            why: "Con una suite anónima el servidor no presenta certificado, así que un atacante en la \
                ruta puede ocupar su lugar. Un cliente que acepta una no está protegido. En un servidor al \
                que entregan otros servidores de correo es solo una observación: los remitentes \
                oportunistas no verifican certificados.",
            fix: "Quite aNULL (OpenSSL) o los intercambios de claves ANON (GnuTLS) de la lista de suites \
                de cifrado.",
        },
    },
    Translation {
        id: "tls-export",
        german: CheckText {
            title: "der Server bietet Export-Suites an",
            why: "Export-Suites haben Schlüssel von 40 oder 56 Bit und Schlüsselaustausche von 512 Bit, \
                die jeder brechen kann. Ein Angreifer kann Clients mit bekannten Fehlern darauf \
                herabstufen (FREAK, Logjam).",
            fix: "Entfernen Sie EXPORT- und EXP-Suites aus der Liste der Cipher-Suites und aktualisieren \
                Sie die TLS-Bibliothek: Aktuelle haben keine.",
        },
        french: CheckText {
            title: "le serveur propose des suites d’exportation",
            why: "Les suites d’exportation ont des clés de 40 ou 56 bits et des échanges de clés de 512 \
                bits, que n’importe qui peut casser. Un attaquant peut y rétrograder les clients qui ont \
                des failles connues (FREAK, Logjam).",
            fix: "Retirez les suites EXPORT et EXP de la liste des suites de chiffrement, et mettez à jour \
                la bibliothèque TLS : les versions actuelles n’en ont plus.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites de exportación",
            why: "Las suites de exportación tienen claves de 40 o 56 bits e intercambios de claves de 512 \
                bits, que cualquiera puede romper. Un atacante puede degradar a ellas a clientes con \
                fallos conocidos (FREAK, Logjam).",
            fix: "Quite las suites EXPORT y EXP de la lista de suites de cifrado y actualice la biblioteca \
                TLS: las actuales no tienen ninguna.",
        },
    },
    Translation {
        id: "tls-weak",
        german: CheckText {
            title: "der Server bietet Suites mit RC4, RC2 oder einfachem DES an",
            why: "RC4 verrät Teile dessen, was es verschlüsselt, etwa Passwörter, die oft gesendet werden. \
                RC2 und DES haben Schlüssel, die sich durchsuchen lassen. Bei einem Server, an den andere \
                Mailserver zustellen, ist das weniger schwer als der Klartext, auf den ein Absender \
                zurückfiele.",
            fix: "Entfernen Sie RC4, RC2 und DES aus der Liste der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur propose des suites avec RC4, RC2 ou DES simple",
            why: "RC4 révèle des parties de ce qu’il chiffre, comme des mots de passe envoyés souvent. Les \
                clés de RC2 et de DES peuvent être trouvées par recherche exhaustive. Pour un serveur \
                auquel d’autres serveurs de messagerie livrent, c’est moins grave que le texte en clair \
                auquel un expéditeur se rabattrait.",
            fix: "Retirez RC4, RC2 et DES de la liste des suites de chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites con RC4, RC2 o DES simple",
            why: "RC4 revela partes de lo que cifra, como contraseñas que se envían muchas veces. Las \
                claves de RC2 y DES se pueden encontrar por fuerza bruta. En un servidor al que entregan \
                otros servidores de correo es menos grave que el texto claro al que volvería un remitente.",
            fix: "Quite RC4, RC2 y DES de la lista de suites de cifrado.",
        },
    },
    Translation {
        id: "tls-none",
        german: CheckText {
            title: "der Server bietet nichts Besseres als TLS 1.1 an",
            why: "Aktuelle Clients verlangen TLS 1.2 oder 1.3. Sie können sich nicht verbinden, und manche \
                fallen auf Klartext zurück. Die Versionen, die der Server anbietet, sind verboten.",
            fix: "Aktualisieren Sie die TLS-Bibliothek und aktivieren Sie TLS 1.2 und TLS 1.3.",
        },
        french: CheckText {
            title: "le serveur ne propose rien de mieux que TLS 1.1",
            why: "Les clients actuels exigent TLS 1.2 ou 1.3. Ils ne peuvent pas se connecter, et certains \
                retombent en clair. Les versions que le serveur propose sont interdites.",
            fix: "Mettez à jour la bibliothèque TLS, et activez TLS 1.2 et TLS 1.3.",
        },
        spanish: CheckText {
            title: "el servidor no ofrece nada mejor que TLS 1.1",
            why: "Los clientes actuales exigen TLS 1.2 o 1.3. No pueden conectarse, y algunos vuelven al \
                texto claro. Las versiones que ofrece el servidor están prohibidas.",
            fix: "Actualice la biblioteca TLS y active TLS 1.2 y TLS 1.3.",
        },
    },
    Translation {
        id: "tls-block",
        german: CheckText {
            title: "der Server bietet Suites mit 64-Bit-Blöcken an",
            why: "Mit 3DES oder IDEA kann ein Angreifer, der etwa 32 GB einer Verbindung aufzeichnet, \
                Teile davon wiederherstellen (SWEET32). Gefährdet sind lange Sitzungen, die ein Geheimnis \
                wiederholen. Bei einem Server, an den andere Mailserver zustellen, ist das nur ein \
                Hinweis.",
            fix: "Entfernen Sie 3DES und IDEA aus der Liste der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur propose des suites avec des blocs de 64 bits",
            why: "Avec 3DES ou IDEA, un attaquant qui enregistre environ 32 Go d’une connexion peut en \
                retrouver des parties (SWEET32). Les longues sessions qui répètent un secret sont \
                exposées. Pour un serveur auquel d’autres serveurs de messagerie livrent, ce n’est qu’une \
                remarque.",
            fix: "Retirez 3DES et IDEA de la liste des suites de chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites con bloques de 64 bits",
            why: "Con 3DES o IDEA, un atacante que grabe unos 32 GB de una conexión puede recuperar partes \
                de ella (SWEET32). Corren riesgo las sesiones largas que repiten un secreto. En un \
                servidor al que entregan otros servidores de correo es solo una observación.",
            fix: "Quite 3DES e IDEA de la lista de suites de cifrado.",
        },
    },
    Translation {
        id: "tls-static",
        german: CheckText {
            title: "der Server bietet Suites ohne Forward Secrecy an",
            why: "Bei statischem Schlüsselaustausch kann ein Angreifer, der den Schlüssel des Servers \
                erbeutet, frühere Aufzeichnungen entschlüsseln. RSA-Schlüsseltransport ist auch die \
                Voraussetzung von Padding-Angriffen wie ROBOT. Bei einem Server, an den andere Mailserver \
                zustellen, ist das nur ein Hinweis.",
            fix: "Beschränken Sie die Liste der Cipher-Suites auf solche mit ECDHE.",
        },
        french: CheckText {
            title: "le serveur propose des suites sans confidentialité persistante",
            why: "Avec un échange de clés statique, un attaquant qui obtient la clé du serveur peut \
                déchiffrer d’anciens enregistrements. Le transport de clé RSA est aussi la condition \
                d’attaques par remplissage comme ROBOT. Pour un serveur auquel d’autres serveurs de \
                messagerie livrent, ce n’est qu’une remarque.",
            fix: "Limitez la liste des suites de chiffrement à celles avec ECDHE.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites sin secreto hacia adelante",
            why: "Con un intercambio de claves estático, un atacante que consiga la clave del servidor \
                puede descifrar grabaciones anteriores. El transporte de claves RSA es además la condición \
                de ataques de relleno como ROBOT. En un servidor al que entregan otros servidores de \
                correo es solo una observación.",
            fix: "Limite la lista de suites de cifrado a las que usan ECDHE.",
        },
    },
    Translation {
        id: "tls-cbc",
        german: CheckText {
            title: "der Server bietet Suites im CBC-Modus an",
            why: "CBC mit einem MAC vor der Verschlüsselung war das Ziel vieler Padding-Angriffe. \
                Implementierungen haben Gegenmaßnahmen, und encrypt-then-MAC beseitigt die Ursache. Ein \
                Server, der nichts anderes anbietet, hat keine authentisierte Verschlüsselung.",
            fix: "Setzen Sie Suites mit AES-GCM oder ChaCha20-Poly1305 an die erste Stelle und entfernen \
                Sie CBC-Suites, die kein Client braucht.",
        },
        french: CheckText {
            title: "le serveur propose des suites en mode CBC",
            why: "CBC avec un MAC avant le chiffrement a été la cible de nombreuses attaques par \
                remplissage. Les implémentations ont des contre-mesures, et encrypt-then-MAC supprime la \
                cause. Un serveur qui ne propose rien d’autre n’a pas de chiffrement authentifié.",
            fix: "Placez en tête les suites avec AES-GCM ou ChaCha20-Poly1305, et retirez les suites CBC \
                dont aucun client n’a besoin.",
        },
        spanish: CheckText {
            title: "el servidor ofrece suites en modo CBC",
            why: "CBC con un MAC antes del cifrado fue objeto de muchos ataques de relleno. Las \
                implementaciones tienen contramedidas, y encrypt-then-MAC elimina la causa. Un servidor \
                que no ofrece otra cosa no tiene cifrado autenticado.",
            fix: "Ponga primero las suites con AES-GCM o ChaCha20-Poly1305 y quite las suites CBC que \
                ningún cliente necesita.",
        },
    },
    Translation {
        id: "tls-dhe",
        german: CheckText {
            title: "der Server bietet Diffie-Hellman über endlichen Körpern an",
            why: "Dieser Schlüsselaustausch ist langsam, seine Parameter sind oft zu klein, und TLS 1.2 \
                kann sie nicht aushandeln. ECDHE ersetzt ihn.",
            fix: "Entfernen Sie DHE-Suites aus der Liste der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur propose Diffie-Hellman sur corps fini",
            why: "Cet échange de clés est lent, ses paramètres sont souvent trop petits, et TLS 1.2 ne \
                peut pas les négocier. ECDHE le remplace.",
            fix: "Retirez les suites DHE de la liste des suites de chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor ofrece Diffie-Hellman de cuerpo finito",
            why: "Este intercambio de claves es lento, sus parámetros son a menudo demasiado pequeños y \
                TLS 1.2 no puede negociarlos. ECDHE lo sustituye.",
            fix: "Quite las suites DHE de la lista de suites de cifrado.",
        },
    },
    Translation {
        id: "tls-dh-size",
        german: CheckText {
            title: "die Primzahl eines Diffie-Hellman-Austauschs ist zu kurz",
            why: "Primzahlen bis 768 Bit wurden gebrochen, solche mit 1024 Bit sind für große Angreifer \
                erreichbar, besonders wenn viele Server sie teilen (Logjam). Die Schwere hängt von der \
                Größe ab: bis 768 Bit kritisch, bis 1024 Fehler, unter 2048 Warnung. Anonyme Suites \
                schützen ohnehin nicht vor einem aktiven Angreifer, dort ist es ein Hinweis.",
            fix: "Verwenden Sie Parameter von mindestens 2048 Bit, etwa die Gruppen von RFC 7919, oder \
                entfernen Sie DHE-Suites.",
        },
        french: CheckText {
            title: "le nombre premier d’un échange Diffie-Hellman est trop court",
            why: "Des nombres premiers de 768 bits ont été cassés, et ceux de 1024 bits sont à la portée \
                de grands attaquants, surtout si de nombreux serveurs les partagent (Logjam). La gravité \
                dépend de la taille : jusqu’à 768 bits critique, jusqu’à 1024 erreur, sous 2048 \
                avertissement. Les suites anonymes ne protègent de toute façon pas d’un attaquant actif ; \
                c’est alors une remarque.",
            fix: "Utilisez des paramètres d’au moins 2048 bits, comme les groupes de RFC 7919, ou retirez \
                les suites DHE.",
        },
        spanish: CheckText {
            title: "el número primo de un intercambio Diffie-Hellman es demasiado corto",
            why: "Los primos de hasta 768 bits se han roto, y los de 1024 están al alcance de grandes \
                atacantes, sobre todo si los comparten muchos servidores (Logjam). La gravedad depende del \
                tamaño: hasta 768 bits crítica, hasta 1024 error, menos de 2048 advertencia. Las suites \
                anónimas no protegen de un atacante activo de todos modos; en ellas es una observación.",
            fix: "Use parámetros de al menos 2048 bits, como los grupos de RFC 7919, o quite las suites DHE.",
        },
    },
    Translation {
        id: "tls-dh-reuse",
        german: CheckText {
            title: "der Server verwendet einen Diffie-Hellman-Wert zweimal",
            why: "Ein Wert, der für mehrere Verbindungen verwendet wird, bietet keine volle Forward \
                Secrecy. Er ist auch die Voraussetzung eines Timing-Angriffs auf das gemeinsame Geheimnis \
                (Raccoon).",
            fix: "Aktualisieren Sie die TLS-Bibliothek, oder setzen Sie die Option, die für jede \
                Verbindung einen neuen Wert erzeugt (SSL_OP_SINGLE_DH_USE).",
        },
        french: CheckText {
            title: "le serveur utilise deux fois une valeur Diffie-Hellman",
            why: "Une valeur utilisée pour plusieurs connexions n’offre pas une pleine confidentialité \
                persistante. C’est aussi la condition d’une attaque temporelle sur le secret partagé \
                (Raccoon).",
            fix: "Mettez à jour la bibliothèque TLS, ou activez l’option qui crée une nouvelle valeur par \
                connexion (SSL_OP_SINGLE_DH_USE).",
        },
        spanish: CheckText {
            title: "el servidor usa dos veces un valor Diffie-Hellman",
            why: "Un valor que se usa en varias conexiones no ofrece pleno secreto hacia adelante. Es \
                además la condición de un ataque de tiempo contra el secreto compartido (Raccoon).",
            fix: "Actualice la biblioteca TLS o active la opción que crea un valor nuevo en cada conexión \
                (SSL_OP_SINGLE_DH_USE).",
        },
    },
    Translation {
        id: "tls-curve",
        german: CheckText {
            title: "der Server akzeptiert eine schwache oder unübliche Kurve",
            why: "Kurven unter 224 Bit sind zu kurz, Kurven über binären Körpern sind veraltet, und mit \
                expliziten Parametern kann ein Angreifer eine Kurve ohne Sicherheit wählen. Der Server hat \
                einer davon zugestimmt.",
            fix: "Beschränken Sie die Gruppen („curves“) auf X25519, P-256 und P-384, mit X25519MLKEM768 \
                an erster Stelle.",
        },
        french: CheckText {
            title: "le serveur accepte une courbe faible ou inhabituelle",
            why: "Les courbes de moins de 224 bits sont trop courtes, celles sur corps binaires sont \
                obsolètes, et des paramètres explicites permettent à un attaquant de choisir une courbe \
                sans sécurité. Le serveur en a accepté une.",
            fix: "Limitez les groupes (« curves ») à X25519, P-256 et P-384, avec X25519MLKEM768 en tête.",
        },
        spanish: CheckText {
            title: "el servidor acepta una curva débil o inusual",
            why: "Las curvas de menos de 224 bits son demasiado cortas, las de cuerpos binarios están \
                obsoletas, y los parámetros explícitos permiten a un atacante elegir una curva sin \
                seguridad. El servidor aceptó una de ellas.",
            fix: "Limite los grupos («curves») a X25519, P-256 y P-384, con X25519MLKEM768 el primero.",
        },
    },
    Translation {
        id: "tls-hash",
        german: CheckText {
            title: "der Server signiert den Handshake mit SHA-1 oder MD5",
            why: "Signaturen mit diesen Hashes lassen sich mit genug Rechenaufwand fälschen. Ein \
                Angreifer, der das tut, tritt an die Stelle des Servers (SLOTH). Aktuelle Clients bieten \
                sie nicht an.",
            fix: "Entfernen Sie SHA-1 und MD5 aus den Signaturalgorithmen, oder aktualisieren Sie die \
                TLS-Bibliothek.",
        },
        french: CheckText {
            title: "le serveur signe le handshake avec SHA-1 ou MD5",
            why: "Les signatures avec ces hachages peuvent être falsifiées avec assez de calcul. Un \
                attaquant qui le fait prend la place du serveur (SLOTH). Les clients actuels ne les \
                proposent pas.",
            fix: "Retirez SHA-1 et MD5 des algorithmes de signature, ou mettez à jour la bibliothèque TLS.",
        },
        spanish: CheckText {
            title: "el servidor firma el handshake con SHA-1 o MD5",
            why: "Las firmas con estos hashes se pueden falsificar con suficiente cálculo. Un atacante que \
                lo haga ocupa el lugar del servidor (SLOTH). Los clientes actuales no los ofrecen.",
            fix: "Quite SHA-1 y MD5 de los algoritmos de firma, o actualice la biblioteca TLS.",
        },
    },
    Translation {
        id: "tls-order",
        german: CheckText {
            title: "der Client entscheidet zwischen schwachen und starken Suites",
            why: "Ein Server, der der Reihenfolge des Clients folgt, verwendet eine schwache Suite, wenn \
                ein Client sie zuerst nennt. Gibt es nur sichere Suites, ist die Reihenfolge des Clients \
                die bessere, weil der Client weiß, was sein Prozessor schnell kann.",
            fix: "Entfernen Sie die schwachen Suites, oder aktivieren Sie die Reihenfolge des Servers.",
        },
        french: CheckText {
            title: "le client décide entre suites faibles et fortes",
            why: "Un serveur qui suit l’ordre du client utilise une suite faible si un client la place en \
                tête. S’il n’y a que des suites sûres, l’ordre du client est le meilleur, car le client \
                sait ce que son processeur fait vite.",
            fix: "Retirez les suites faibles, ou activez l’ordre de préférence du serveur.",
        },
        spanish: CheckText {
            title: "el cliente decide entre suites débiles y fuertes",
            why: "Un servidor que sigue el orden del cliente usa una suite débil si un cliente la pone \
                primero. Si solo hay suites seguras, es mejor el orden del cliente, porque sabe qué hace \
                rápido su procesador.",
            fix: "Quite las suites débiles o active el orden de preferencia del servidor.",
        },
    },
    Translation {
        id: "tls-compression",
        german: CheckText {
            title: "der Server akzeptiert TLS-Kompression",
            why: "Die Länge komprimierter Records verrät Geheimnisse an einen Angreifer, der eigenen Text \
                in die Sitzung bringen kann (CRIME). Mail-Protokolle sind weniger gefährdet als HTTP, \
                haben davon aber keinen Nutzen.",
            fix: "Schalten Sie die Kompression in der TLS-Bibliothek ab (SSL_OP_NO_COMPRESSION), oder \
                aktualisieren Sie sie.",
        },
        french: CheckText {
            title: "le serveur accepte la compression TLS",
            why: "La longueur des enregistrements compressés révèle des secrets à un attaquant qui peut \
                ajouter son propre texte à la session (CRIME). Les protocoles de messagerie sont moins \
                exposés que HTTP, mais n’y gagnent rien.",
            fix: "Désactivez la compression dans la bibliothèque TLS (SSL_OP_NO_COMPRESSION), ou mettez-la \
                à jour.",
        },
        spanish: CheckText {
            title: "el servidor acepta la compresión TLS",
            why: "La longitud de los registros comprimidos revela secretos a un atacante que puede añadir \
                texto propio a la sesión (CRIME). Los protocolos de correo están menos expuestos que HTTP, \
                pero no ganan nada con ella.",
            fix: "Desactive la compresión en la biblioteca TLS (SSL_OP_NO_COMPRESSION), o actualícela.",
        },
    },
    Translation {
        id: "tls-master",
        german: CheckText {
            title: "TLS 1.2 funktioniert ohne Extended Master Secret",
            why: "Ohne diese Erweiterung können zwei Sitzungen dieselben Schlüssel haben, sodass ein \
                Angreifer die Sitzungen eines Clients und eines Servers verbinden kann (Triple Handshake). \
                Channel Binding und Client-Zertifikate beweisen dann nichts.",
            fix: "Aktualisieren Sie die TLS-Bibliothek.",
        },
        french: CheckText {
            title: "TLS 1.2 fonctionne sans extended master secret",
            why: "Sans cette extension, deux sessions peuvent avoir les mêmes clés, ce qui permet à un \
                attaquant de relier les sessions d’un client et d’un serveur (triple handshake). Le \
                channel binding et les certificats clients ne prouvent alors plus rien.",
            fix: "Mettez à jour la bibliothèque TLS.",
        },
        spanish: CheckText {
            title: "TLS 1.2 funciona sin extended master secret",
            why: "Sin esta extensión dos sesiones pueden tener las mismas claves, lo que permite a un \
                atacante unir las sesiones de un cliente y de un servidor (triple handshake). El channel \
                binding y los certificados de cliente no demuestran entonces nada.",
            fix: "Actualice la biblioteca TLS.",
        },
    },
    Translation {
        id: "tls-fallback",
        german: CheckText {
            title: "der Server hat keinen Schutz vor Herabstufung",
            why: "Ein Angreifer auf dem Übertragungsweg kann einen Client dazu bringen, eine ältere \
                Version zu versuchen. Der Server sollte das mit TLS_FALLBACK_SCSV ablehnen und die ältere \
                Version in seinem Zufallswert markieren, wenn er TLS 1.3 kennt.",
            fix: "Aktualisieren Sie die TLS-Bibliothek. Ein Server, der nur TLS 1.2 und 1.3 hat, braucht \
                TLS_FALLBACK_SCSV nicht.",
        },
        french: CheckText {
            title: "le serveur n’a pas de protection contre la rétrogradation",
            why: "Un attaquant sur le chemin peut amener un client à essayer une version plus ancienne. Le \
                serveur devrait la refuser grâce à TLS_FALLBACK_SCSV, et marquer l’ancienne version dans \
                son aléa s’il connaît TLS 1.3.",
            fix: "Mettez à jour la bibliothèque TLS. Un serveur qui n’a que TLS 1.2 et 1.3 n’a pas besoin \
                de TLS_FALLBACK_SCSV.",
        },
        spanish: CheckText {
            title: "el servidor no tiene protección contra la degradación",
            why: "Un atacante en la ruta puede hacer que un cliente pruebe una versión anterior. El \
                servidor debería rechazarla mediante TLS_FALLBACK_SCSV y marcar la versión anterior en su \
                valor aleatorio si conoce TLS 1.3.",
            fix: "Actualice la biblioteca TLS. Un servidor que solo tiene TLS 1.2 y 1.3 no necesita \
                TLS_FALLBACK_SCSV.",
        },
    },
    Translation {
        id: "tls-heartbeat",
        german: CheckText {
            title: "der Server handelt Heartbeat aus",
            why: "Die Erweiterung war für Datagramme gedacht und nützt auf TCP nichts. OpenSSL vor April \
                2014 sendet damit jedem seinen Speicher (Heartbleed). Die Prüfung testet das nicht, weil \
                ein Test den Speicher des Servers liest.",
            fix: "Aktualisieren Sie die TLS-Bibliothek: Aktuelle haben kein Heartbeat.",
        },
        french: CheckText {
            title: "le serveur négocie heartbeat",
            why: "L’extension a été conçue pour les datagrammes et ne sert à rien sur TCP. OpenSSL d’avant \
                avril 2014 envoie sa mémoire à quiconque l’utilise (Heartbleed). L’audit ne le teste pas, \
                car un test lit la mémoire du serveur.",
            fix: "Mettez à jour la bibliothèque TLS : les versions actuelles n’ont pas heartbeat.",
        },
        spanish: CheckText {
            title: "el servidor negocia heartbeat",
            why: "La extensión se hizo para datagramas y no sirve de nada sobre TCP. OpenSSL anterior a \
                abril de 2014 envía su memoria a cualquiera que la use (Heartbleed). La auditoría no lo \
                prueba, porque una prueba lee la memoria del servidor.",
            fix: "Actualice la biblioteca TLS: las actuales no tienen heartbeat.",
        },
    },
    Translation {
        id: "tls-client-auth",
        german: CheckText {
            title: "der Server verlangt Client-Zertifikate",
            why: "Die Aufforderung enthält die Namen von CAs, die intern sein können. Manche Clients \
                scheitern, wenn sie nach einem Zertifikat gefragt werden, das sie nicht haben.",
            fix: "Wenn kein Client ein Zertifikat hat, schalten Sie die Aufforderung ab.",
        },
        french: CheckText {
            title: "le serveur demande des certificats clients",
            why: "La demande contient les noms d’autorités, qui peuvent être internes. Certains clients \
                échouent face à la demande d’un certificat qu’ils n’ont pas.",
            fix: "Si aucun client n’a de certificat, désactivez la demande.",
        },
        spanish: CheckText {
            title: "el servidor pide certificados de cliente",
            why: "La petición contiene los nombres de autoridades, que pueden ser internas. Algunos \
                clientes fallan cuando se les pide un certificado que no tienen.",
            fix: "Si ningún cliente tiene certificado, desactive la petición.",
        },
    },
    Translation {
        id: "tls-broken",
        german: CheckText {
            title: "der Server wählt eine Suite, die er nicht verwenden kann",
            why: "Der Server antwortet mit einer Suite und beendet dann den Handshake. Ein Client, der \
                diese Suite zuerst nennt, kann sich nicht verbinden, obwohl eine andere funktionieren \
                würde.",
            fix: "Suchen Sie die Suite in den Belegen. Konfigurieren Sie, was sie braucht, etwa Parameter \
                oder ein Zertifikat ihres Typs, oder entfernen Sie sie aus der Liste der Cipher-Suites.",
        },
        french: CheckText {
            title: "le serveur choisit une suite qu’il ne peut pas utiliser",
            why: "Le serveur répond avec une suite, puis met fin au handshake. Un client qui place cette \
                suite en tête ne peut pas se connecter, alors qu’une autre fonctionnerait.",
            fix: "Cherchez la suite dans les preuves. Configurez ce qu’il lui faut, comme des paramètres \
                ou un certificat de son type, ou retirez-la de la liste des suites de chiffrement.",
        },
        spanish: CheckText {
            title: "el servidor elige una suite que no puede usar",
            why: "El servidor responde con una suite y después termina el handshake. Un cliente que pone \
                esta suite primero no puede conectarse, aunque otra funcionaría.",
            fix: "Busque la suite en las pruebas. Configure lo que necesita, como parámetros o un \
                certificado de su tipo, o quítela de la lista de suites de cifrado.",
        },
    },
    Translation {
        id: "tls-intolerant",
        german: CheckText {
            title: "der Server scheitert an einem gültigen ClientHello",
            why: "Ein Server muss Werte ignorieren, die er nicht kennt, die neueste gemeinsame Version \
                wählen und ein Hello jeder Länge und ohne Key Share beantworten. Ein Server, der an so \
                einem Hello scheitert, schließt neue Clients aus und ist der Grund für unsichere \
                Fallbacks.",
            fix: "Aktualisieren Sie die TLS-Bibliothek oder die Firewall oder den Loadbalancer auf dem \
                Weg, der Hellos liest.",
        },
        french: CheckText {
            title: "le serveur échoue sur un ClientHello valide",
            why: "Un serveur doit ignorer les valeurs qu’il ne connaît pas, choisir la version commune la \
                plus récente, et répondre à un hello de toute longueur et sans key share. Un serveur qui \
                échoue sur un tel hello exclut les nouveaux clients et explique les replis non sûrs.",
            fix: "Mettez à jour la bibliothèque TLS, ou le pare-feu ou répartiteur de charge du chemin qui \
                lit les hellos.",
        },
        spanish: CheckText {
            title: "el servidor falla con un ClientHello válido",
            why: "Un servidor debe ignorar los valores que no conoce, elegir la versión común más reciente \
                y responder a un hello de cualquier longitud y sin key share. Uno que falla con ese hello \
                excluye a clientes nuevos y es el motivo de las vueltas atrás inseguras.",
            fix: "Actualice la biblioteca TLS, o el cortafuegos o balanceador de la ruta que lee los hello.",
        },
    },
    Translation {
        id: "tls-random",
        german: CheckText {
            title: "der Zufallswert des Servers enthält seine Uhr oder wiederholt sich",
            why: "Ältere Versionen schreiben die Zeit in die ersten vier Bytes, was hilft, einen Server \
                wiederzuerkennen. Ein Zufallswert, der in zwei Verbindungen gleich ist, nimmt den Schutz \
                vor wiederholten Nachrichten.",
            fix: "Aktualisieren Sie die TLS-Bibliothek.",
        },
        french: CheckText {
            title: "l’aléa du serveur contient son horloge ou se répète",
            why: "Les anciennes versions placent l’heure dans les quatre premiers octets, ce qui aide à \
                reconnaître un serveur. Un aléa identique dans deux connexions supprime la protection \
                contre le rejeu de messages.",
            fix: "Mettez à jour la bibliothèque TLS.",
        },
        spanish: CheckText {
            title: "el valor aleatorio del servidor contiene su reloj o se repite",
            why: "Las versiones antiguas ponen la hora en los cuatro primeros bytes, lo que ayuda a \
                reconocer un servidor. Un valor aleatorio igual en dos conexiones elimina la protección \
                contra mensajes repetidos.",
            fix: "Actualice la biblioteca TLS.",
        },
    },
];
