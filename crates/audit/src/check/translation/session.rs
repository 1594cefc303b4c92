//! The checks of the TLS session, and of what is visible before it.

use super::{CheckText, Translation};

pub(super) const ROWS: &[Translation] = &[
    Translation {
        id: "tls-handshake",
        german: CheckText {
            title: "der Handshake scheitert auf einem Port mit implizitem TLS",
            why: "Clients mit implizitem TLS, wie RFC 8314 es für Mail empfiehlt, können sich nicht \
                verbinden. Manche fallen auf einen anderen Port oder auf Klartext zurück.",
            fix: "Lesen Sie das Log des Servers zum Zeitpunkt der Verbindung. Übliche Ursachen: Zertifikat \
                oder Schlüssel fehlen oder sind für den Benutzer des Dienstes nicht lesbar, der Schlüssel \
                passt nicht zum Zertifikat, oder die eingestellten Protokollversionen und Cipher-Suites \
                schließen alle aktuellen Clients aus.",
        },
        french: CheckText {
            title: "le handshake échoue sur un port en TLS implicite",
            why: "Les clients en TLS implicite, que RFC 8314 recommande pour le courrier, ne peuvent pas \
                se connecter. Certains se rabattent sur un autre port ou continuent en clair.",
            fix: "Lisez le journal du serveur à l’heure de la connexion. Causes habituelles : le \
                certificat ou la clé manque ou n’est pas lisible par l’utilisateur du service, la clé ne \
                correspond pas au certificat, ou les versions et suites de chiffrement configurées \
                excluent tous les clients actuels.",
        },
        spanish: CheckText {
            title: "el handshake falla en un puerto con TLS implícito",
            why: "Los clientes con TLS implícito, como RFC 8314 recomienda para el correo, no pueden \
                conectarse. Algunos recurren a otro puerto o al texto claro.",
            fix: "Lea el registro del servidor a la hora de la conexión. Causas habituales: el certificado \
                o la clave falta o el usuario del servicio no puede leerlo, la clave no corresponde al \
                certificado, o las versiones y suites de cifrado configuradas excluyen a todos los \
                clientes actuales.",
        },
    },
    Translation {
        id: "tls-large-hello",
        german: CheckText {
            title: "ein ClientHello, das größer als ein TCP-Segment ist, wird nicht angenommen",
            why: "Clients mit Post-Quanten-Schlüsselaustausch senden ein ClientHello von etwa 1700 Bytes, \
                das TCP in zwei Segmenten überträgt. Ein Server oder ein Gerät auf dem Übertragungsweg, \
                das nur das erste Segment liest, beendet jeden solchen Handshake. Aktuelle Browser, \
                Mail-Clients und TLS-Bibliotheken können sich nicht verbinden.",
            fix: "Aktualisieren Sie den Server oder die Firewall, den Loadbalancer oder das \
                Intrusion-Detection-System auf dem Weg, das ClientHellos liest. Prüfen Sie von beiden \
                Seiten jedes Geräts, um die Ursache zu finden.",
        },
        french: CheckText {
            title: "un ClientHello plus grand qu’un segment TCP n’est pas accepté",
            why: "Les clients avec échange de clés post-quantique envoient un ClientHello d’environ 1700 \
                octets, que TCP transmet en deux segments. Un serveur, ou un équipement sur le chemin, qui \
                ne lit que le premier segment met fin à chaque handshake de ce type. Les navigateurs, \
                clients de messagerie et bibliothèques TLS actuels ne peuvent pas se connecter.",
            fix: "Mettez à jour le serveur, ou le pare-feu, le répartiteur de charge ou le système de \
                détection d’intrusion du chemin qui lit les ClientHello. Lancez l’audit des deux côtés de \
                chaque équipement pour trouver la cause.",
        },
        spanish: CheckText {
            title: "no se acepta un ClientHello mayor que un segmento TCP",
            why: "Los clientes con intercambio de claves poscuántico envían un ClientHello de unos 1700 \
                bytes, que TCP entrega en dos segmentos. Un servidor, o un dispositivo en la ruta, que \
                solo lee el primer segmento termina cada handshake de este tipo. Los navegadores, clientes \
                de correo y bibliotecas TLS actuales no pueden conectarse.",
            fix: "Actualice el servidor, o el cortafuegos, balanceador o sistema de detección de intrusos \
                de la ruta que lee los ClientHello. Ejecute la auditoría desde ambos lados de cada \
                dispositivo para encontrar la causa.",
        },
    },
    Translation {
        id: "tls-version",
        german: CheckText {
            title: "ein Handshake scheitert mit einer Version, die der Server unterstützen sollte",
            why: "Der Bericht nennt die Versionen, TLS 1.3 und TLS 1.2, mit denen ein Handshake gelang. \
                Ein Server, der mit einer angekündigten Version scheitert, schließt Clients aus, und diese \
                fallen vielleicht auf Klartext zurück.",
            fix: "Aktivieren Sie TLS 1.2 und 1.3 und suchen Sie den fehlgeschlagenen Handshake im Log des \
                Servers. Die übliche Ursache ist eine Liste von Cipher-Suites oder eine Mindestversion, \
                die einer anderen Einstellung widerspricht.",
        },
        french: CheckText {
            title: "un handshake échoue avec une version que le serveur devrait prendre en charge",
            why: "Le rapport indique les versions, TLS 1.3 et TLS 1.2, avec lesquelles un handshake a \
                réussi. Un serveur qui échoue avec une version qu’il annonce exclut des clients, et \
                ceux-ci peuvent retomber en clair.",
            fix: "Activez TLS 1.2 et 1.3, et cherchez le handshake échoué dans le journal du serveur. La \
                cause habituelle est une liste de suites ou une version minimale qui contredit un autre \
                réglage.",
        },
        spanish: CheckText {
            title: "un handshake falla con una versión que el servidor debería admitir",
            why: "El informe indica las versiones, TLS 1.3 y TLS 1.2, con las que un handshake tuvo éxito. \
                Un servidor que falla con una versión que anuncia excluye clientes, y estos pueden volver \
                al texto claro.",
            fix: "Active TLS 1.2 y 1.3, y busque el handshake fallido en el registro del servidor. La \
                causa habitual es una lista de suites o una versión mínima que contradice otro ajuste.",
        },
    },
    Translation {
        id: "tls-old",
        german: CheckText {
            title: "der Server unterstützt TLS 1.3 nicht",
            why: "TLS 1.2 lässt sich sicher konfigurieren, aber nur TLS 1.3 verschlüsselt das Zertifikat \
                des Servers, bietet immer Forward Secrecy und unterstützt Post-Quanten-Schlüsselaustausch. \
                Ein Server ohne TLS 1.3 verwendet oft eine Bibliothek, die nicht mehr gepflegt wird.",
            fix: "Aktualisieren Sie die TLS-Bibliothek und entfernen Sie Einstellungen, die die \
                Höchstversion auf TLS 1.2 begrenzen.",
        },
        french: CheckText {
            title: "le serveur ne prend pas en charge TLS 1.3",
            why: "TLS 1.2 peut être configuré de façon sûre, mais seul TLS 1.3 chiffre le certificat du \
                serveur, offre toujours la confidentialité persistante et permet l’échange de clés \
                post-quantique. Un serveur sans TLS 1.3 utilise souvent une bibliothèque qui n’est plus \
                maintenue.",
            fix: "Mettez à jour la bibliothèque TLS, et retirez les réglages qui limitent la version \
                maximale à TLS 1.2.",
        },
        spanish: CheckText {
            title: "el servidor no admite TLS 1.3",
            why: "TLS 1.2 se puede configurar de forma segura, pero solo TLS 1.3 cifra el certificado del \
                servidor, ofrece siempre secreto hacia adelante y admite el intercambio de claves \
                poscuántico. Un servidor sin TLS 1.3 usa a menudo una biblioteca sin mantenimiento.",
            fix: "Actualice la biblioteca TLS y quite los ajustes que limitan la versión máxima a TLS 1.2.",
        },
    },
    Translation {
        id: "tls-suite",
        german: CheckText {
            title: "der Cipher-Suite fehlt Forward Secrecy oder authentisierte Verschlüsselung",
            why: "Ohne ephemeren Schlüsselaustausch kann ein Angreifer, der den Schlüssel des Servers \
                erbeutet, frühere Aufzeichnungen entschlüsseln. Suites im CBC-Modus waren das Ziel vieler \
                Padding-Angriffe. Die TLS-Bibliothek der Prüfung bietet beide nicht an: Bei einem Server, \
                der nur solche unterstützt, scheitert der Handshake, und die TLS-Erhebung findet seine \
                Suites.",
            fix: "Beschränken Sie die Suites von TLS 1.2 auf ECDHE mit AES-GCM oder ChaCha20-Poly1305 und \
                lassen Sie die Reihenfolge des Servers entscheiden. Alle Suites von TLS 1.3 erfüllen diese \
                Regel.",
        },
        french: CheckText {
            title: "la suite de chiffrement n’a pas de confidentialité persistante ou de chiffrement \
                authentifié",
            why: "Sans échange de clés éphémère, un attaquant qui obtient la clé du serveur peut \
                déchiffrer d’anciens enregistrements. Les suites en mode CBC ont été la cible de \
                nombreuses attaques par remplissage. La bibliothèque TLS de l’audit n’en propose aucune : \
                avec un serveur qui n’a rien d’autre, le handshake échoue, et l’inventaire TLS trouve ses \
                suites.",
            fix: "Limitez les suites de TLS 1.2 à ECDHE avec AES-GCM ou ChaCha20-Poly1305, et laissez \
                décider l’ordre du serveur. Toutes les suites de TLS 1.3 respectent cette règle.",
        },
        spanish: CheckText {
            title: "la suite de cifrado no tiene secreto hacia adelante o cifrado autenticado",
            why: "Sin intercambio de claves efímero, un atacante que consiga la clave del servidor puede \
                descifrar grabaciones anteriores. Las suites en modo CBC fueron objeto de muchos ataques \
                de relleno. La biblioteca TLS de la auditoría no ofrece ninguna de las dos: con un \
                servidor que no admite otras, el handshake falla y el inventario TLS encuentra sus suites.",
            fix: "Limite las suites de TLS 1.2 a ECDHE con AES-GCM o ChaCha20-Poly1305, y deje que decida \
                el orden del servidor. Todas las suites de TLS 1.3 cumplen esta regla.",
        },
    },
    Translation {
        id: "tls-group",
        german: CheckText {
            title: "der Schlüsselaustausch widersteht Quantencomputern nicht",
            why: "Ein Angreifer kann Sitzungen heute aufzeichnen und entschlüsseln, sobald es einen großen \
                Quantencomputer gibt. Eine hybride Gruppe wie X25519MLKEM768 verhindert das zu geringen \
                Kosten, und Clients ohne sie können sich weiterhin verbinden.",
            fix: "Aktualisieren Sie die TLS-Bibliothek auf eine Version mit X25519MLKEM768 und setzen Sie \
                diese Gruppe an die erste Stelle der Liste („curves“), wenn der Server so eine Einstellung \
                hat.",
        },
        french: CheckText {
            title: "l’échange de clés ne résiste pas aux ordinateurs quantiques",
            why: "Un attaquant peut enregistrer des sessions aujourd’hui et les déchiffrer lorsqu’un grand \
                ordinateur quantique existera. Un groupe hybride comme X25519MLKEM768 l’empêche à faible \
                coût, et les clients qui ne l’ont pas peuvent toujours se connecter.",
            fix: "Mettez à jour la bibliothèque TLS vers une version avec X25519MLKEM768, et placez ce \
                groupe en tête de la liste (« curves ») si le serveur a un tel réglage.",
        },
        spanish: CheckText {
            title: "el intercambio de claves no resiste a los ordenadores cuánticos",
            why: "Un atacante puede grabar sesiones hoy y descifrarlas cuando exista un ordenador cuántico \
                grande. Un grupo híbrido como X25519MLKEM768 lo impide con poco coste, y los clientes que \
                no lo tienen pueden seguir conectándose.",
            fix: "Actualice la biblioteca TLS a una versión con X25519MLKEM768 y ponga este grupo el \
                primero de la lista («curves») si el servidor tiene ese ajuste.",
        },
    },
    Translation {
        id: "tls-resumption",
        german: CheckText {
            title: "der Server unterstützt keine Wiederaufnahme von Sitzungen",
            why: "Session-Tickets machen spätere Verbindungen billiger, was Mailprogrammen mit vielen \
                Verbindungen hilft. Ein Server ohne sie ist nicht fehlerhaft. Tickets müssen an den Dienst \
                gebunden sein, und ihre Schlüssel müssen oft wechseln.",
            fix: "Aktivieren Sie Session-Tickets mit Schlüsseln, die mindestens täglich wechseln, oder \
                nehmen Sie für jede Verbindung einen vollen Handshake in Kauf.",
        },
        french: CheckText {
            title: "le serveur ne prend pas en charge la reprise de session",
            why: "Les tickets de session rendent les connexions suivantes moins coûteuses, ce qui aide les \
                logiciels de messagerie qui en ouvrent beaucoup. Un serveur sans tickets n’est pas fautif. \
                Les tickets doivent être liés au service, et leurs clés doivent changer souvent.",
            fix: "Activez les tickets de session avec des clés renouvelées au moins chaque jour, ou \
                acceptez un handshake complet par connexion.",
        },
        spanish: CheckText {
            title: "el servidor no admite la reanudación de sesiones",
            why: "Los tickets de sesión abaratan las conexiones posteriores, lo que ayuda a los programas \
                de correo que abren muchas. Un servidor sin ellos no es defectuoso. Los tickets deben \
                estar ligados al servicio, y sus claves deben cambiar a menudo.",
            fix: "Active los tickets de sesión con claves que roten al menos a diario, o acepte un \
                handshake completo por conexión.",
        },
    },
    Translation {
        id: "tls-alpn",
        german: CheckText {
            title: "der Server verwendet ALPN nicht",
            why: "Mit ALPN einigen sich beide Seiten im Handshake auf das Anwendungsprotokoll. Das \
                verhindert Angriffe, die eine Verbindung zu einem anderen Dienst umleiten. Viele Server \
                unterstützen es noch nicht.",
            fix: "Aktualisieren Sie den Server auf eine Version, die die ALPN-ID seines Protokolls \
                auswählt, wenn eine registriert ist (etwa imap, pop3, managesieve, ftp, xmpp-client).",
        },
        french: CheckText {
            title: "le serveur n’utilise pas ALPN",
            why: "Avec ALPN, les deux côtés conviennent du protocole applicatif dans le handshake, ce qui \
                empêche les attaques qui redirigent une connexion vers un autre service. Beaucoup de \
                serveurs ne le prennent pas encore en charge.",
            fix: "Mettez à jour le serveur vers une version qui choisit l’identifiant ALPN de son \
                protocole, s’il en existe un (par exemple imap, pop3, managesieve, ftp, xmpp-client).",
        },
        spanish: CheckText {
            title: "el servidor no usa ALPN",
            why: "Con ALPN ambas partes acuerdan el protocolo de aplicación en el handshake, lo que evita \
                ataques que desvían una conexión a otro servicio. Muchos servidores aún no lo admiten.",
            fix: "Actualice el servidor a una versión que seleccione el identificador ALPN de su \
                protocolo, si hay uno registrado (por ejemplo imap, pop3, managesieve, ftp, xmpp-client).",
        },
    },
    Translation {
        id: "tls-renegotiation",
        german: CheckText {
            title: "der Server unterstützt TLS 1.2 ohne sichere Neuaushandlung",
            why: "Ohne die Erweiterung renegotiation_info kann ein Angreifer auf dem Übertragungsweg der \
                Sitzung des Clients eine eigene voranstellen. Das ist Befehlsinjektion auf der TLS-Ebene. \
                Manche Clients lehnen solche Server ab.",
            fix: "Aktualisieren Sie die TLS-Bibliothek und entfernen Sie Einstellungen, die unsichere alte \
                Neuaushandlung erlauben.",
        },
        french: CheckText {
            title: "le serveur utilise TLS 1.2 sans renégociation sécurisée",
            why: "Sans l’extension renegotiation_info, un attaquant sur le chemin peut placer sa propre \
                session devant celle du client. C’est une injection de commandes au niveau de TLS. \
                Certains clients refusent ces serveurs.",
            fix: "Mettez à jour la bibliothèque TLS, et retirez les réglages qui autorisent l’ancienne \
                renégociation non sûre.",
        },
        spanish: CheckText {
            title: "el servidor admite TLS 1.2 sin renegociación segura",
            why: "Sin la extensión renegotiation_info, un atacante en la ruta puede anteponer una sesión \
                propia a la del cliente. Es una inyección de órdenes en la capa TLS. Algunos clientes \
                rechazan estos servidores.",
            fix: "Actualice la biblioteca TLS y quite los ajustes que permiten la renegociación antigua \
                insegura.",
        },
    },
    Translation {
        id: "tls-early-data",
        german: CheckText {
            title: "der Server erlaubt Early Data (0-RTT)",
            why: "Early Data wird gesendet, bevor der Handshake endet. Ein Angreifer, der sie aufzeichnet, \
                kann sie noch einmal senden, sodass ein Befehl zweimal ausgeführt wird, und sie haben \
                keine Forward Secrecy. Ein Protokoll darf sie nur nutzen, wenn ein Profil regelt, wie: \
                HTTP hat eines, Protokolle mit Upgrade haben keines.",
            fix: "Schalten Sie Early Data (0-RTT) für diesen Dienst in der TLS-Bibliothek oder im Proxy \
                ab, der TLS terminiert.",
        },
        french: CheckText {
            title: "le serveur permet les données anticipées (0-RTT)",
            why: "Les données anticipées sont envoyées avant la fin du handshake. Un attaquant qui les \
                enregistre peut les renvoyer, si bien qu’une commande s’exécute deux fois, et elles n’ont \
                pas de confidentialité persistante. Un protocole ne peut les utiliser que si un profil le \
                définit : HTTP en a un, les protocoles avec passage à TLS n’en ont pas.",
            fix: "Désactivez les données anticipées (0-RTT) pour ce service dans la bibliothèque TLS ou \
                dans le proxy qui termine TLS.",
        },
        spanish: CheckText {
            title: "el servidor permite datos anticipados (0-RTT)",
            why: "Los datos anticipados se envían antes de que termine el handshake. Un atacante que los \
                grabe puede enviarlos otra vez, de modo que una orden se ejecuta dos veces, y no tienen \
                secreto hacia adelante. Un protocolo solo puede usarlos si un perfil define cómo: HTTP \
                tiene uno, los protocolos con paso a TLS no.",
            fix: "Desactive los datos anticipados (0-RTT) para este servicio en la biblioteca TLS o en el \
                proxy que termina TLS.",
        },
    },
    Translation {
        id: "leak-banner",
        german: CheckText {
            title: "der Klartext verrät die Software und ihre Version",
            why: "Jeder auf dem Übertragungsweg und jeder Scanner kann die bekannten Schwachstellen dieser \
                Version nachschlagen. Die Version zu verbergen behebt sie nicht, es verlangsamt nur die \
                Suche.",
            fix: "Kürzen Sie die Begrüßung: Die Einstellungen heißen etwa „banner“, „greeting“, „server \
                ident“ oder „version“. Updates sind wichtiger als diese Einstellung.",
        },
        french: CheckText {
            title: "le texte en clair révèle le logiciel et sa version",
            why: "Quiconque se trouve sur le chemin, et tout scanner, peut chercher les vulnérabilités \
                connues de cette version. La masquer ne les corrige pas ; cela ne fait que ralentir la \
                recherche.",
            fix: "Raccourcissez l’accueil : les réglages s’appellent par exemple « banner », « greeting », \
                « server ident » ou « version ». Les mises à jour comptent plus que ce réglage.",
        },
        spanish: CheckText {
            title: "el texto claro revela el software y su versión",
            why: "Cualquiera en la ruta, y cualquier escáner, puede buscar las vulnerabilidades conocidas \
                de esa versión. Ocultarla no las corrige; solo retrasa la búsqueda.",
            fix: "Acorte el saludo: los ajustes se llaman, por ejemplo, «banner», «greeting», «server \
                ident» o «version». Las actualizaciones son más importantes que este ajuste.",
        },
    },
    Translation {
        id: "leak-internal",
        german: CheckText {
            title: "der Klartext verrät interne Namen oder Adressen",
            why: "Eine private Adresse oder ein interner Name zeigt Außenstehenden, wie das Netz aufgebaut \
                ist. Clients können damit nichts anfangen, und oft ist es ein Zeichen, dass einem Proxy \
                oder NAT der öffentliche Name fehlt.",
            fix: "Konfigurieren Sie den öffentlichen Namen in der Hostnamen-Einstellung des Servers \
                („hostname“, „server name“ oder die Masquerade- oder Passive-Adresse von FTP).",
        },
        french: CheckText {
            title: "le texte en clair révèle des noms ou des adresses internes",
            why: "Une adresse privée ou un nom interne montre aux tiers comment le réseau est structuré. \
                Les clients ne peuvent rien en faire, et c’est souvent le signe qu’il manque le nom public \
                dans la configuration d’un proxy ou d’un NAT.",
            fix: "Configurez le nom public dans le réglage de nom d’hôte du serveur (« hostname », « \
                server name », ou l’adresse masquerade ou passive de FTP).",
        },
        spanish: CheckText {
            title: "el texto claro revela nombres o direcciones internas",
            why: "Una dirección privada o un nombre interno muestra a terceros cómo está organizada la \
                red. Los clientes no pueden usarlo, y a menudo indica que a un proxy o NAT le falta el \
                nombre público en su configuración.",
            fix: "Configure el nombre público en el ajuste de nombre de host del servidor («hostname», \
                «server name», o la dirección masquerade o pasiva de FTP).",
        },
    },
    Translation {
        id: "time-steps",
        german: CheckText {
            title: "die Dauer jedes Schritts",
            why: "Bis zur ersten verschlüsselten Antwort wartet ein Client auf jeden Schritt. Wenn die \
                Begrüßung (Reverse DNS, Greet Delay) oder der Handshake langsam ist, geben manche Clients \
                auf, und einige davon versuchen es im Klartext.",
            fix: "Prüfen Sie bei langsamer Begrüßung Reverse DNS, Ident und Greet Delays. Prüfen Sie bei \
                langsamem Handshake die Größe von RSA-Schlüsseln und die Last der Maschine.",
        },
        french: CheckText {
            title: "la durée de chaque étape",
            why: "Jusqu’à la première réponse chiffrée, un client attend chaque étape tour à tour. Si \
                l’accueil (DNS inverse, délai d’accueil) ou le handshake est lent, certains clients \
                abandonnent, et quelques-uns essaient en clair.",
            fix: "Pour un accueil lent, vérifiez le DNS inverse, ident et les délais d’accueil. Pour un \
                handshake lent, vérifiez la taille des clés RSA et la charge de la machine.",
        },
        spanish: CheckText {
            title: "la duración de cada paso",
            why: "Hasta la primera respuesta cifrada, un cliente espera cada paso por turno. Si el saludo \
                (DNS inverso, retardo del saludo) o el handshake es lento, algunos clientes desisten, y \
                varios prueban en texto claro.",
            fix: "Si el saludo es lento, revise el DNS inverso, ident y los retardos del saludo. Si el \
                handshake es lento, revise el tamaño de las claves RSA y la carga de la máquina.",
        },
    },
];
