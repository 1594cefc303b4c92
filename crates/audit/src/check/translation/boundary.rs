//! The checks of the boundary.

use super::{CheckText, Translation};

pub(super) const ROWS: &[Translation] = &[
    Translation {
        id: "srv-inject-eager",
        german: CheckText {
            title: "der Server führt in TLS Befehle aus, die er im Klartext erhalten hat",
            why: "Der Server hat die Bytes, die im Klartext nach der Anforderung ankamen, behalten und \
                ausgeführt, als wären sie in TLS angekommen. Ein Angreifer auf dem Übertragungsweg kann so \
                der verschlüsselten Sitzung eines Clients Befehle voranstellen und etwa dessen E-Mail oder \
                Passwort in einem fremden Konto ablegen, ohne TLS zu brechen.",
            fix: "Aktualisieren Sie den Server und jeden Proxy, der TLS für ihn terminiert. Zu Beginn des \
                Handshakes muss er alles bisher Gelesene verwerfen oder ablehnen. Bieten Sie bis dahin nur \
                den Port mit implizitem TLS an.",
        },
        french: CheckText {
            title: "le serveur exécute dans TLS des commandes reçues en clair",
            why: "Le serveur a conservé les octets arrivés en clair après la demande et les a exécutés \
                comme s’ils étaient arrivés dans TLS. Un attaquant sur le chemin peut ainsi insérer des \
                commandes avant la session chiffrée d’un client, par exemple pour déposer son courrier ou \
                son mot de passe dans un autre compte, sans casser TLS.",
            fix: "Mettez à jour le serveur et chaque proxy qui termine TLS pour lui. Au début du \
                handshake, il doit jeter ou refuser tout ce qu’il a lu. D’ici là, ne proposez que le port \
                TLS implicite.",
        },
        spanish: CheckText {
            title: "el servidor ejecuta dentro de TLS órdenes que recibió en texto claro",
            why: "El servidor guardó los bytes que llegaron en texto claro después de la petición y los \
                ejecutó como si hubieran llegado dentro de TLS. Un atacante en la ruta puede anteponer \
                órdenes a la sesión cifrada de un cliente, por ejemplo para guardar su correo o su \
                contraseña en otra cuenta, sin romper TLS.",
            fix: "Actualice el servidor y cada proxy que termina TLS por él. Al comenzar el handshake debe \
                descartar o rechazar todo lo leído. Hasta entonces, ofrezca solo el puerto con TLS \
                implícito.",
        },
    },
    Translation {
        id: "srv-inject-lazy",
        german: CheckText {
            title: "der Server führt Klartext-Befehle mit dem ersten Befehl in TLS aus",
            why: "Der Server hat die Bytes aus dem Klartext behalten und ausgeführt, als der erste \
                verschlüsselte Befehl des Clients kam. Der Angriff ist derselbe wie bei srv-inject-eager, \
                aber ein Test, der nur auf eine Antwort wartet, bemerkt ihn nicht.",
            fix: "Aktualisieren Sie den Server und jeden Proxy, der TLS für ihn terminiert. Der \
                Eingabepuffer muss zu Beginn des Handshakes leer sein. Bieten Sie bis dahin nur den Port \
                mit implizitem TLS an.",
        },
        french: CheckText {
            title: "le serveur exécute des commandes en clair avec la première commande dans TLS",
            why: "Le serveur a conservé les octets arrivés en clair et les a exécutés à l’arrivée de la \
                première commande chiffrée du client. L’attaque est la même que pour srv-inject-eager, \
                mais un test qui ne fait qu’attendre une réponse ne la détecte pas.",
            fix: "Mettez à jour le serveur et chaque proxy qui termine TLS pour lui. Le tampon d’entrée \
                doit être vide au début du handshake. D’ici là, ne proposez que le port TLS implicite.",
        },
        spanish: CheckText {
            title: "el servidor ejecuta órdenes en texto claro con la primera orden dentro de TLS",
            why: "El servidor guardó los bytes que llegaron en texto claro y los ejecutó al llegar la \
                primera orden cifrada del cliente. El ataque es el mismo que en srv-inject-eager, pero una \
                prueba que solo espera una respuesta no lo detecta.",
            fix: "Actualice el servidor y cada proxy que termina TLS por él. El búfer de entrada debe \
                estar vacío al comenzar el handshake. Hasta entonces, ofrezca solo el puerto con TLS \
                implícito.",
        },
    },
    Translation {
        id: "srv-inject-split",
        german: CheckText {
            title: "der Server führt einen Befehl aus, der zwischen Anforderung und Handshake ankommt",
            why: "Der Server verwirft, was im selben Paket wie die Anforderung ankommt, aber nicht, was \
                danach und vor dem Handshake ankommt. Der Angriff gelingt weiterhin, nur der Zeitpunkt ist \
                ein anderer.",
            fix: "Aktualisieren Sie den Server. Er muss aufhören, Klartext zu lesen, bevor er die Zusage \
                sendet. Klartext zwischen Zusage und Handshake erreicht dann die TLS-Bibliothek, die ihn \
                ablehnt, und nicht den Befehlsparser.",
        },
        french: CheckText {
            title: "le serveur exécute une commande arrivée entre la demande et le handshake",
            why: "Le serveur jette ce qui arrive dans le même paquet que la demande, mais pas ce qui \
                arrive ensuite, avant le handshake. L’attaque fonctionne toujours, seul le moment change.",
            fix: "Mettez à jour le serveur. Il doit cesser de lire en clair avant d’envoyer son accord. Ce \
                qui arrive en clair entre l’accord et le handshake parvient alors à la bibliothèque TLS, \
                qui le refuse, et non à l’analyseur de commandes.",
        },
        spanish: CheckText {
            title: "el servidor ejecuta una orden que llega entre la petición y el handshake",
            why: "El servidor descarta lo que llega en el mismo paquete que la petición, pero no lo que \
                llega después y antes del handshake. El ataque sigue funcionando; solo cambia el momento.",
            fix: "Actualice el servidor. Debe dejar de leer texto claro antes de enviar la aceptación. \
                Así, el texto claro entre la aceptación y el handshake llega a la biblioteca TLS, que lo \
                rechaza, y no al intérprete de órdenes.",
        },
    },
    Translation {
        id: "srv-inject-partial",
        german: CheckText {
            title: "der Server verbindet eine unfertige Klartext-Zeile mit einer Zeile in TLS",
            why: "Der Server hat vollständige Befehle verworfen, aber eine unfertige Zeile behalten und \
                sie dem ersten verschlüsselten Befehl des Clients vorangestellt. Ein Angreifer auf dem \
                Übertragungsweg kann diesen Befehl, der das Passwort enthalten kann, zum Argument eines \
                anderen Befehls machen.",
            fix: "Aktualisieren Sie den Server. Der Eingabepuffer muss zu Beginn des Handshakes leer sein, \
                auch von unfertigen Zeilen.",
        },
        french: CheckText {
            title: "le serveur joint une ligne en clair inachevée à une ligne dans TLS",
            why: "Le serveur a jeté les commandes complètes, mais a conservé une ligne inachevée et l’a \
                placée devant la première commande chiffrée du client. Un attaquant sur le chemin peut \
                faire de cette commande, qui contient peut-être le mot de passe, l’argument d’une autre \
                commande.",
            fix: "Mettez à jour le serveur. Le tampon d’entrée, lignes inachevées comprises, doit être \
                vide au début du handshake.",
        },
        spanish: CheckText {
            title: "el servidor une una línea incompleta en texto claro con una línea dentro de TLS",
            why: "El servidor descartó las órdenes completas, pero guardó una línea incompleta y la \
                antepuso a la primera orden cifrada del cliente. Un atacante en la ruta puede convertir \
                esa orden, que puede contener la contraseña, en argumento de otra.",
            fix: "Actualice el servidor. El búfer de entrada, incluidas las líneas incompletas, debe estar \
                vacío al comenzar el handshake.",
        },
    },
    Translation {
        id: "srv-inject-variants",
        german: CheckText {
            title: "der Server akzeptiert eine ungewöhnliche Anforderung und behält den Klartext danach",
            why: "Der Server akzeptiert die Anforderung mit einem einzelnen Line Feed, mit angehängtem \
                Text oder innerhalb von Daten wie Literalen, Zeichenketten und Nachrichtentexten, wo sie \
                keine Anforderung ist. Der Code für diese Formen hat den Schutz der üblichen Form nicht. \
                Wenn ein Proxy und ein Server dieselben Bytes verschieden lesen, kann ein Angreifer den \
                Unterschied nutzen.",
            fix: "Aktualisieren Sie den Server. Schalten Sie auf diesem Listener einzelne Line Feeds und \
                nachsichtiges Parsen ab.",
        },
        french: CheckText {
            title: "le serveur accepte une demande inhabituelle et conserve le texte en clair qui la suit",
            why: "Le serveur accepte la demande avec un saut de ligne seul (LF), suivie de texte, ou dans \
                des données comme des littéraux, des chaînes et des corps de message, où elle n’en est pas \
                une. Le code de ces formes n’a pas la protection de la forme habituelle. Si un proxy et un \
                serveur lisent les mêmes octets différemment, un attaquant peut en profiter.",
            fix: "Mettez à jour le serveur. Désactivez sur cet écouteur les sauts de ligne seuls et \
                l’analyse tolérante.",
        },
        spanish: CheckText {
            title: "el servidor acepta una petición inusual y guarda el texto claro que la sigue",
            why: "El servidor acepta la petición con un salto de línea suelto (LF), con texto añadido o \
                dentro de datos como literales, cadenas y cuerpos de mensaje, donde no es una petición. El \
                código de estas formas no tiene la protección de la forma habitual. Si un proxy y un \
                servidor leen los mismos bytes de forma distinta, un atacante puede aprovecharlo.",
            fix: "Actualice el servidor. Desactive en este puerto los saltos de línea sueltos y el \
                análisis permisivo.",
        },
    },
    Translation {
        id: "srv-reply-plain",
        german: CheckText {
            title: "der Server antwortet nach der Zusage im Klartext",
            why: "Der Server hat dem Beginn von TLS zugestimmt und dann einen Befehl im Klartext \
                beantwortet. Auf die Zusage darf nur ein Handshake folgen. Ein Server, der dort auch \
                Befehle liest, hat zwei Parser auf einer Verbindung, und ein Client kann die \
                Klartext-Antwort für eine aus TLS halten.",
            fix: "Aktualisieren Sie den Server. Nach der Zusage darf er nur den Handshake lesen und muss \
                die Verbindung schließen, wenn etwas anderes ankommt.",
        },
        french: CheckText {
            title: "le serveur répond en clair après son accord",
            why: "Le serveur a accepté de démarrer TLS, puis a répondu en clair à une commande. Seul un \
                handshake peut suivre l’accord. Un serveur qui y lit aussi des commandes a deux analyseurs \
                sur une connexion, et un client peut prendre la réponse en clair pour une réponse dans \
                TLS.",
            fix: "Mettez à jour le serveur. Après son accord, il ne doit lire que le handshake, et fermer \
                la connexion s’il reçoit autre chose.",
        },
        spanish: CheckText {
            title: "el servidor responde en texto claro después de aceptar",
            why: "El servidor aceptó iniciar TLS y después respondió a una orden en texto claro. Tras la \
                aceptación solo puede seguir un handshake. Un servidor que además lee órdenes ahí tiene \
                dos intérpretes en una conexión, y un cliente puede tomar la respuesta en texto claro por \
                una de dentro de TLS.",
            fix: "Actualice el servidor. Tras la aceptación debe leer solo el handshake y cerrar la \
                conexión si recibe otra cosa.",
        },
    },
    Translation {
        id: "srv-fixation",
        german: CheckText {
            title: "der Server behält Sitzungszustand aus der Zeit vor TLS",
            why: "Der Server merkt sich einen Namen, einen Absender oder einen Anmeldeschritt aus dem \
                Klartext. Ein Angreifer auf dem Übertragungsweg kann diesen Zustand setzen, bevor der \
                Client TLS beginnt, und der Client setzt dann eine Sitzung fort, die der Angreifer \
                begonnen hat.",
            fix: "Aktualisieren Sie den Server. Nach dem Handshake muss er die Sitzung auf den Zustand \
                nach der Begrüßung zurücksetzen. Ein Proxy muss eine neue Sitzung zum Backend öffnen oder \
                die bestehende zurücksetzen.",
        },
        french: CheckText {
            title: "le serveur conserve un état de session d’avant TLS",
            why: "Le serveur retient un nom, un expéditeur ou une étape de connexion de la partie en \
                clair. Un attaquant sur le chemin peut fixer cet état avant que le client démarre TLS, et \
                le client poursuit alors une session commencée par l’attaquant.",
            fix: "Mettez à jour le serveur. Après le handshake, il doit ramener la session à l’état qui \
                suit l’accueil. Un proxy doit ouvrir une nouvelle session vers le backend ou réinitialiser \
                l’existante.",
        },
        spanish: CheckText {
            title: "el servidor conserva el estado de la sesión anterior a TLS",
            why: "El servidor recuerda un nombre, un remitente o un paso de la autenticación de la parte \
                en texto claro. Un atacante en la ruta puede fijar ese estado antes de que el cliente \
                inicie TLS, y el cliente continúa entonces una sesión que empezó el atacante.",
            fix: "Actualice el servidor. Tras el handshake debe devolver la sesión al estado posterior al \
                saludo. Un proxy debe abrir una sesión nueva con el backend o reiniciar la existente.",
        },
    },
    Translation {
        id: "srv-hs-fallback",
        german: CheckText {
            title: "der Server macht nach einem fehlgeschlagenen Handshake im Klartext weiter",
            why: "Ein Angreifer auf dem Übertragungsweg kann den Handshake stören und schaltet bei diesem \
                Server damit TLS ab: Client und Server machen im Klartext weiter, obwohl beide TLS \
                vereinbart haben. Keine Seite wird gewarnt.",
            fix: "Aktualisieren Sie den Server. Nach einem fehlgeschlagenen Handshake muss er die \
                Verbindung schließen.",
        },
        french: CheckText {
            title: "le serveur continue en clair après l’échec du handshake",
            why: "Un attaquant sur le chemin peut perturber le handshake et, avec ce serveur, désactive \
                ainsi TLS : client et serveur continuent en clair alors que tous deux avaient convenu de \
                TLS. Aucun des deux n’est averti.",
            fix: "Mettez à jour le serveur. Il doit fermer la connexion après l’échec d’un handshake.",
        },
        spanish: CheckText {
            title: "el servidor continúa en texto claro después de un handshake fallido",
            why: "Un atacante en la ruta puede perturbar el handshake y con ello, en este servidor, \
                desactiva TLS: cliente y servidor continúan en texto claro aunque ambos acordaron usar \
                TLS. Ninguno de los dos recibe un aviso.",
            fix: "Actualice el servidor. Debe cerrar la conexión después de un handshake fallido.",
        },
    },
    Translation {
        id: "srv-stall",
        german: CheckText {
            title: "der Server wartet unbegrenzt auf einen Handshake",
            why: "Nach der Zusage wartet der Server ohne Zeitlimit auf den Handshake, oder solange \
                einzelne Bytes ankommen. Ein Angreifer ohne Passwort kann mit einigen Hundert solcher \
                Verbindungen alle Worker belegen.",
            fix: "Setzen Sie ein Zeitlimit für den ganzen Handshake (30 Sekunden, höchstens 5 Minuten), \
                das einzelne Bytes nicht neu starten, und begrenzen Sie die Verbindungen je \
                Client-Adresse.",
        },
        french: CheckText {
            title: "le serveur attend un handshake sans limite",
            why: "Après son accord, le serveur attend le handshake sans limite de temps, ou tant que des \
                octets arrivent un à un. Un attaquant sans mot de passe peut occuper tous les processus \
                avec quelques centaines de ces connexions.",
            fix: "Fixez un délai pour tout le handshake (30 secondes, au plus 5 minutes) que des octets \
                isolés ne relancent pas, et limitez les connexions par adresse de client.",
        },
        spanish: CheckText {
            title: "el servidor espera un handshake sin límite",
            why: "Tras la aceptación, el servidor espera el handshake sin límite de tiempo, o mientras \
                lleguen bytes sueltos. Un atacante sin contraseña puede ocupar todos los procesos con unos \
                cientos de estas conexiones.",
            fix: "Fije un tiempo máximo para todo el handshake (30 segundos, como mucho 5 minutos) que los \
                bytes sueltos no reinicien, y limite las conexiones por dirección de cliente.",
        },
    },
    Translation {
        id: "srv-alpn",
        german: CheckText {
            title: "der Server akzeptiert einen Handshake für ein anderes Protokoll",
            why: "Der Client hat in ALPN nur ein anderes Anwendungsprotokoll angeboten, und der Server hat \
                weitergemacht. Bei protokollübergreifenden Angriffen (ALPACA) leitet der Angreifer die \
                TLS-Verbindung eines Browsers auf so einen Server um. Der Browser hält dessen Antworten \
                für die der Website, wenn das Zertifikat für beide Namen gilt.",
            fix: "Aktualisieren Sie den Server oder aktivieren Sie dessen strikte ALPN-Einstellung: Bietet \
                der Client kein Protokoll des Servers an, muss dieser den Handshake mit dem Alert \
                no_application_protocol beenden. Verwenden Sie für die Website und diesen Dienst nicht \
                dasselbe Zertifikat.",
        },
        french: CheckText {
            title: "le serveur accepte un handshake destiné à un autre protocole",
            why: "Le client n’a proposé dans ALPN qu’un autre protocole applicatif, et le serveur a \
                continué. Dans les attaques inter-protocoles (ALPACA), l’attaquant redirige la connexion \
                TLS d’un navigateur vers un tel serveur. Le navigateur prend ses réponses pour celles du \
                site web si le certificat est valable pour les deux noms.",
            fix: "Mettez à jour le serveur, ou activez son réglage ALPN strict : si le client ne propose \
                aucun protocole du serveur, celui-ci doit terminer le handshake par l’alerte \
                no_application_protocol. N’utilisez pas le même certificat pour le site web et pour ce \
                service.",
        },
        spanish: CheckText {
            title: "el servidor acepta un handshake para otro protocolo",
            why: "El cliente ofreció en ALPN solo otro protocolo de aplicación, y el servidor continuó. En \
                los ataques entre protocolos (ALPACA), el atacante desvía la conexión TLS de un navegador \
                a un servidor así. El navegador toma sus respuestas por las del sitio web si el \
                certificado es válido para ambos nombres.",
            fix: "Actualice el servidor o active su modo ALPN estricto: si el cliente no ofrece ningún \
                protocolo del servidor, este debe terminar el handshake con la alerta \
                no_application_protocol. No use el mismo certificado para el sitio web y para este \
                servicio.",
        },
    },
    Translation {
        id: "srv-xproto",
        german: CheckText {
            title: "Antworten lassen sich zwischen Upgrade-Port und TLS-Port verschieben",
            why: "Der Dienst hat einen Port mit implizitem TLS und einen mit Upgrade, und die Zertifikate \
                beider gelten für denselben Namen. Ein Angreifer auf dem Übertragungsweg kann einen Client \
                des einen Ports mit dem anderen verbinden. Die erste Antwort in TLS gehört dann zu einer \
                Anfrage, die der Client nie gesendet hat (Opossum-Angriff). Ist nur eine Begrüßung zu \
                viel, wie bei Mail, ist der Befund nur ein Hinweis.",
            fix: "Schalten Sie das Upgrade ab (bei HTTP: RFC 2817), wenn der Port mit implizitem TLS für \
                alle Clients genügt. Verwenden Sie sonst Zertifikate mit verschiedenen Namen auf den \
                beiden Ports. ALPN hilft nur, wenn die Ports verschiedene Protokoll-IDs akzeptieren.",
        },
        french: CheckText {
            title: "les réponses peuvent être décalées entre le port avec passage à TLS et le port TLS",
            why: "Le service a un port en TLS implicite et un port avec passage à TLS, et les certificats \
                des deux sont valables pour le même nom. Un attaquant sur le chemin peut relier un client \
                d’un port à l’autre. La première réponse dans TLS appartient alors à une requête que le \
                client n’a jamais envoyée (attaque Opossum). Si seul un message d’accueil est en trop, \
                comme pour le courrier, ce n’est qu’une information.",
            fix: "Désactivez le passage à TLS (en HTTP : RFC 2817) si le port TLS implicite suffit à tous \
                les clients. Sinon, utilisez des certificats avec des noms différents sur les deux ports. \
                ALPN n’aide que si les ports acceptent des identifiants de protocole différents.",
        },
        spanish: CheckText {
            title: "las respuestas pueden desplazarse entre el puerto con paso a TLS y el puerto TLS",
            why: "El servicio tiene un puerto con TLS implícito y otro con paso a TLS, y los certificados \
                de ambos son válidos para el mismo nombre. Un atacante en la ruta puede conectar un \
                cliente de un puerto con el otro. La primera respuesta dentro de TLS pertenece entonces a \
                una petición que el cliente nunca envió (ataque Opossum). Si solo sobra un saludo, como en \
                el correo, el resultado es informativo.",
            fix: "Desactive el paso a TLS (en HTTP: RFC 2817) si el puerto con TLS implícito basta para \
                todos los clientes. Si no, use certificados con nombres distintos en los dos puertos. ALPN \
                solo ayuda si los puertos aceptan identificadores de protocolo distintos.",
        },
    },
];
