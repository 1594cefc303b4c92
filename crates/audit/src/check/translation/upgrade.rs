//! The checks of the offer.

use super::{CheckText, Translation};

pub(super) const ROWS: &[Translation] = &[
    Translation {
        id: "srv-reachable",
        german: CheckText {
            title: "der Server ist nicht erreichbar",
            why: "Die Prüfung konnte sich nicht verbinden und hat daher kein Ergebnis zum Upgrade. \
                Clients, die diese Adresse verwenden, scheitern genauso; manche versuchen einen anderen \
                Port oder machen ohne TLS weiter.",
            fix: "Prüfen Sie, ob der Name richtig geschrieben ist und eine Adresse im DNS hat, ob der \
                Dienst läuft und auf dieser Adresse und diesem Port über IPv4 und IPv6 lauscht und ob \
                Firewalls die Verbindung erlauben. Entfernen Sie DNS-Records, die auf Adressen ohne den \
                Dienst zeigen.",
        },
        french: CheckText {
            title: "le serveur est injoignable",
            why: "L’audit n’a pas pu se connecter et n’a donc aucun résultat sur le passage à TLS. Les \
                clients qui utilisent cette adresse échouent de la même façon ; certains essaient un autre \
                port ou continuent sans TLS.",
            fix: "Vérifiez que le nom est bien écrit et a une adresse dans le DNS, que le service tourne \
                et écoute sur cette adresse et ce port en IPv4 et en IPv6, et que les pare-feu autorisent \
                la connexion. Supprimez les enregistrements DNS qui mènent à des adresses sans ce service.",
        },
        spanish: CheckText {
            title: "no se puede llegar al servidor",
            why: "La auditoría no pudo conectarse, así que no tiene resultado sobre el paso a TLS. Los \
                clientes que usan esta dirección fallan igual, y algunos prueban otro puerto o continúan \
                sin TLS.",
            fix: "Compruebe que el nombre está bien escrito y tiene una dirección en el DNS, que el \
                servicio está en marcha y escucha en esta dirección y puerto por IPv4 e IPv6, y que los \
                cortafuegos permiten la conexión. Elimine los registros DNS que apuntan a direcciones sin \
                el servicio.",
        },
    },
    Translation {
        id: "srv-mx-name",
        german: CheckText {
            title: "der MX-Record nennt einen Alias",
            why: "Ein MX-Record muss einen Hostnamen mit eigenen Adress-Records enthalten. Manche Absender \
                folgen dort keinem Alias (CNAME), und ein Absender, der Zertifikate prüft, kann beide \
                Namen erwarten.",
            fix: "Ersetzen Sie den Alias im MX-Record durch den Namen, auf den er zeigt.",
        },
        french: CheckText {
            title: "l’enregistrement MX désigne un alias",
            why: "Un enregistrement MX doit contenir un nom d’hôte qui a ses propres enregistrements \
                d’adresse. Certains expéditeurs n’y suivent pas d’alias (CNAME), et un expéditeur qui \
                vérifie les certificats peut attendre l’un ou l’autre nom.",
            fix: "Remplacez l’alias dans l’enregistrement MX par le nom vers lequel il pointe.",
        },
        spanish: CheckText {
            title: "el registro MX nombra un alias",
            why: "Un registro MX debe contener un nombre de host con registros de dirección propios. \
                Algunos remitentes no siguen ahí un alias (CNAME), y un remitente que verifica \
                certificados puede esperar cualquiera de los dos nombres.",
            fix: "Sustituya el alias del registro MX por el nombre al que apunta.",
        },
    },
    Translation {
        id: "srv-throttled",
        german: CheckText {
            title: "der Server hat Verbindungen der Prüfung vorerst abgewiesen",
            why: "Der Server begrenzt Verbindungen oder weist unbekannte Clients eine Zeit lang ab, daher \
                zeigen seine Antworten nichts über das Upgrade. Auch ein einwandfreier Server darf das, \
                und die Prüfung zieht daraus keinen Schluss.",
            fix: "Wiederholen Sie die Prüfung später, mit Pausen zwischen den Verbindungen und mit weniger \
                gleichzeitigen Verbindungen, oder von einer Adresse, die von Limits und Greylisting des \
                Servers ausgenommen ist.",
        },
        french: CheckText {
            title: "le serveur a refusé pour l’instant des connexions de l’audit",
            why: "Le serveur limite les connexions ou refuse un temps les clients inconnus, si bien que \
                ses réponses ne montrent rien sur le passage à TLS. Un serveur sain peut le faire, et \
                l’audit n’en tire aucune conclusion.",
            fix: "Relancez l’audit plus tard, avec une pause entre les connexions et moins de connexions \
                simultanées, ou depuis une adresse exemptée des limites et du greylisting du serveur.",
        },
        spanish: CheckText {
            title: "el servidor rechazó por ahora conexiones de la auditoría",
            why: "El servidor limita las conexiones o rechaza durante un tiempo a los clientes \
                desconocidos, así que sus respuestas no muestran nada sobre el paso a TLS. Un servidor \
                correcto puede hacerlo, y la auditoría no saca ninguna conclusión.",
            fix: "Repita la auditoría más tarde, con pausas entre las conexiones y menos conexiones a la \
                vez, o desde una dirección exenta de los límites y del greylisting del servidor.",
        },
    },
    Translation {
        id: "srv-plain-tls",
        german: CheckText {
            title: "der Port erwartet TLS vom ersten Byte an oder ein anderes Protokoll",
            why: "Der Server spricht auf diesem Port nicht das Klartext-Protokoll, oder er spricht \
                Klartext auf dem Port für implizites TLS. Clients warten bis zum Timeout oder melden eine \
                unlesbare Antwort, und Benutzer schalten dann vielleicht TLS ab.",
            fix: "Konfigurieren Sie für jeden Port einen Modus: implizites TLS (oft „ssl“, „smtps“ oder \
                „wrapper mode“) auf Ports wie 465, 993, 995 und 636, STARTTLS auf Ports wie 25, 587, 143, \
                110 und 389. Stellen Sie sonst den Client auf den Modus dieses Ports ein.",
        },
        french: CheckText {
            title: "le port attend TLS dès le premier octet, ou un autre protocole",
            why: "Le serveur ne parle pas le protocole en clair sur ce port, ou parle en clair sur le port \
                du TLS implicite. Les clients attendent jusqu’au délai ou signalent une réponse illisible, \
                et les utilisateurs désactivent alors parfois TLS.",
            fix: "Configurez un mode par port : TLS implicite (souvent appelé « ssl », « smtps » ou « \
                wrapper mode ») sur des ports comme 465, 993, 995 et 636, STARTTLS sur des ports comme 25, \
                587, 143, 110 et 389. Sinon, réglez le client sur le mode de ce port.",
        },
        spanish: CheckText {
            title: "el puerto espera TLS desde el primer byte, u otro protocolo",
            why: "El servidor no habla el protocolo en texto claro en este puerto, o habla en texto claro \
                en el puerto de TLS implícito. Los clientes esperan hasta agotar el tiempo o informan de \
                una respuesta ilegible, y los usuarios quizá desactiven TLS.",
            fix: "Configure un modo para cada puerto: TLS implícito (a menudo «ssl», «smtps» o «wrapper \
                mode») en puertos como 465, 993, 995 y 636, y STARTTLS en puertos como 25, 587, 143, 110 y \
                389. Si no, cambie el cliente al modo de este puerto.",
        },
    },
    Translation {
        id: "srv-preauth",
        german: CheckText {
            title: "die Begrüßung meldet eine Sitzung, die schon vor TLS angemeldet ist",
            why: "Eine Begrüßung wie PREAUTH bei IMAP beginnt die Sitzung in einem Zustand, in dem der \
                Client kein TLS mehr anfordern kann. Ein Angreifer auf dem Übertragungsweg kann dieselbe \
                Begrüßung senden, um Clients im Klartext zu halten, und Clients dieses Servers können \
                beides nicht unterscheiden.",
            fix: "Begrüßen Sie nicht mit PREAUTH auf einem Listener, der über das Netz erreichbar ist. \
                Verwenden Sie vorab angemeldete Sitzungen nur auf lokalen Pipes und Sockets.",
        },
        french: CheckText {
            title: "l’accueil annonce une session déjà authentifiée avant TLS",
            why: "Un accueil comme PREAUTH en IMAP commence la session dans un état où le client ne peut \
                plus demander TLS. Un attaquant sur le chemin peut envoyer le même accueil pour garder les \
                clients en clair, et les clients de ce serveur ne peuvent distinguer les deux.",
            fix: "N’accueillez pas avec PREAUTH sur un écouteur accessible par le réseau. Réservez les \
                sessions pré-authentifiées aux pipes et sockets locaux.",
        },
        spanish: CheckText {
            title: "el saludo anuncia una sesión ya autenticada antes de TLS",
            why: "Un saludo como PREAUTH en IMAP inicia la sesión en un estado en el que el cliente ya no \
                puede pedir TLS. Un atacante en la ruta puede enviar el mismo saludo para mantener a los \
                clientes en texto claro, y los clientes de este servidor no pueden distinguirlos.",
            fix: "No salude con PREAUTH en un puerto accesible por la red. Use sesiones preautenticadas \
                solo en tuberías y sockets locales.",
        },
    },
    Translation {
        id: "srv-referral",
        german: CheckText {
            title: "der Server verweist Clients vor TLS an einen anderen Server",
            why: "Ein Verweis im Klartext ist nicht geschützt: Ein Angreifer auf dem Übertragungsweg kann \
                einen einfügen und Clients samt Passwort zu einem anderen Server schicken. Clients können \
                einen echten Verweis nicht von einem gefälschten unterscheiden.",
            fix: "Senden Sie Verweise und Umleitungen nur in TLS und, wenn das Protokoll es erlaubt, erst \
                nach der Anmeldung. Wenn Clients vor TLS umziehen sollen, verwenden Sie DNS oder einen \
                Proxy.",
        },
        french: CheckText {
            title: "le serveur renvoie les clients vers un autre serveur avant TLS",
            why: "Un renvoi en clair n’est pas protégé : un attaquant sur le chemin peut en insérer un et \
                envoyer les clients, avec leurs mots de passe, vers un autre serveur. Les clients ne \
                peuvent distinguer un vrai renvoi d’un faux.",
            fix: "N’envoyez renvois et redirections que dans TLS, et après l’authentification si le \
                protocole le permet. Pour déplacer des clients avant TLS, utilisez le DNS ou un proxy.",
        },
        spanish: CheckText {
            title: "el servidor remite a los clientes a otro servidor antes de TLS",
            why: "Una remisión en texto claro no está protegida: un atacante en la ruta puede insertar una \
                y enviar a los clientes, con sus contraseñas, a otro servidor. Los clientes no pueden \
                distinguir una auténtica de una falsa.",
            fix: "Envíe remisiones y redirecciones solo dentro de TLS y, si el protocolo lo permite, \
                después de la autenticación. Para trasladar clientes antes de TLS, use el DNS o un proxy.",
        },
    },
    Translation {
        id: "srv-alert",
        german: CheckText {
            title: "der Server sendet vor TLS Text für Benutzer",
            why: "Clients zeigen solche Hinweise an, und vor TLS kann ein Angreifer auf dem \
                Übertragungsweg beliebigen Text einfügen: „Ihr Passwort ist abgelaufen, gehen Sie zu …“. \
                Ein Server, der echte Hinweise im Klartext sendet, gewöhnt Benutzer daran, gefälschten zu \
                glauben.",
            fix: "Senden Sie Hinweise und Tagesmeldungen nach dem Handshake oder nach der Anmeldung. \
                Beschränken Sie die Begrüßung auf das, was das Protokoll verlangt.",
        },
        french: CheckText {
            title: "le serveur envoie du texte pour les utilisateurs avant TLS",
            why: "Les clients affichent ces alertes, et avant TLS un attaquant sur le chemin peut insérer \
                n’importe quel texte : « votre mot de passe a expiré, allez sur … ». Un serveur qui envoie \
                de vraies alertes en clair habitue les utilisateurs à croire les fausses.",
            fix: "Envoyez alertes, avis et messages du jour après le handshake ou après la connexion. \
                Limitez l’accueil à ce que le protocole exige.",
        },
        spanish: CheckText {
            title: "el servidor envía texto para los usuarios antes de TLS",
            why: "Los clientes muestran esos avisos, y antes de TLS un atacante en la ruta puede insertar \
                cualquier texto: «su contraseña ha caducado, vaya a …». Un servidor que envía avisos \
                auténticos en texto claro enseña a los usuarios a fiarse de los falsos.",
            fix: "Envíe avisos y mensajes del día después del handshake o de la autenticación. Limite el \
                saludo a lo que exige el protocolo.",
        },
    },
    Translation {
        id: "srv-mangled",
        german: CheckText {
            title: "ein Gerät auf dem Übertragungsweg überschreibt das Angebot",
            why: "Das Angebot kommt als XXXXXXXA oder ähnlich an: Eine Firewall, ein Proxy oder ein \
                Virenscanner überschreibt es, um Verbindungen im Klartext zu halten und mitzulesen. Jeder \
                Client hinter diesem Gerät sendet Mail und Passwörter im Klartext.",
            fix: "Schalten Sie die Inspektion („fixup“) dieses Protokolls in Firewalls, Loadbalancern und \
                Scannern zwischen Client und Server ab, oder stellen Sie das Gerät so ein, dass es TLS \
                erlaubt. Prüfen Sie dann von beiden Seiten des Geräts.",
        },
        french: CheckText {
            title: "un équipement sur le chemin écrase l’offre",
            why: "L’offre arrive sous la forme XXXXXXXA ou similaire : un pare-feu, un proxy ou un \
                antivirus l’écrase pour garder les connexions en clair et les inspecter. Chaque client \
                derrière cet équipement envoie courriers et mots de passe en clair.",
            fix: "Désactivez l’inspection (« fixup ») de ce protocole dans les pare-feu, répartiteurs de \
                charge et antivirus entre le client et le serveur, ou configurez l’équipement pour \
                autoriser TLS. Relancez ensuite l’audit des deux côtés de l’équipement.",
        },
        spanish: CheckText {
            title: "un dispositivo en la ruta sobrescribe la oferta",
            why: "La oferta llega como XXXXXXXA o un texto parecido: un cortafuegos, un proxy o un \
                antivirus la sobrescribe para mantener las conexiones en texto claro e inspeccionarlas. \
                Cada cliente detrás de este dispositivo envía correo y contraseñas en texto claro.",
            fix: "Desactive la inspección («fixup») de este protocolo en cortafuegos, balanceadores y \
                antivirus entre el cliente y el servidor, o configure el dispositivo para que permita TLS. \
                Repita después la auditoría desde ambos lados.",
        },
    },
    Translation {
        id: "srv-offered",
        german: CheckText {
            title: "der Server bietet das Upgrade nicht an",
            why: "Die meisten Clients machen ohne Warnung im Klartext weiter, wenn das Angebot fehlt. \
                Clients, die TLS verlangen, können den Server nicht nutzen.",
            fix: "Konfigurieren Sie ein Zertifikat mit seinem Schlüssel und aktivieren Sie STARTTLS auf \
                diesem Listener (auch StartTLS, STLS, AUTH TLS, „tls“ oder „ssl“ genannt). Wenn der Dienst \
                stattdessen einen Port mit implizitem TLS verwendet, schließen Sie diesen Port.",
        },
        french: CheckText {
            title: "le serveur ne propose pas le passage à TLS",
            why: "La plupart des clients continuent en clair sans avertissement quand l’offre manque. Les \
                clients qui exigent TLS ne peuvent pas utiliser le serveur.",
            fix: "Configurez un certificat avec sa clé, et activez STARTTLS sur cet écouteur (aussi appelé \
                StartTLS, STLS, AUTH TLS, « tls » ou « ssl »). Si le service utilise plutôt un port TLS \
                implicite, fermez ce port.",
        },
        spanish: CheckText {
            title: "el servidor no ofrece el paso a TLS",
            why: "La mayoría de los clientes continúan en texto claro sin aviso cuando falta la oferta. \
                Los clientes que exigen TLS no pueden usar el servidor.",
            fix: "Configure un certificado con su clave y active STARTTLS en este puerto (también llamado \
                StartTLS, STLS, AUTH TLS, «tls» o «ssl»). Si el servicio usa en su lugar un puerto con TLS \
                implícito, cierre este puerto.",
        },
    },
    Translation {
        id: "srv-upgrade",
        german: CheckText {
            title: "der Server bietet das Upgrade an, führt es aber nicht zu Ende",
            why: "Der Server kündigt TLS an und lehnt dann die Anforderung ab, hat kein Zertifikat oder \
                scheitert bei jedem Handshake. Opportunistische Clients fallen auf Klartext zurück, \
                Clients, die TLS verlangen, können sich nicht verbinden, und ein Monitoring, das nur nach \
                dem Angebot sieht, bemerkt es nicht.",
            fix: "Lesen Sie das Log des Servers zum Zeitpunkt der Anforderung. Übliche Ursachen: \
                Zertifikat oder Schlüssel fehlen oder sind für den Benutzer des Dienstes nicht lesbar, der \
                Schlüssel passt nicht zum Zertifikat, oder die eingestellten Protokollversionen und \
                Cipher-Suites schließen alle aktuellen Clients aus.",
        },
        french: CheckText {
            title: "le serveur propose le passage à TLS mais ne le mène pas à bien",
            why: "Le serveur annonce TLS, puis refuse la demande, n’a pas de certificat ou échoue à chaque \
                handshake. Les clients opportunistes retombent en clair, ceux qui exigent TLS ne peuvent \
                se connecter, et une supervision qui ne regarde que l’offre ne le détecte pas.",
            fix: "Lisez le journal du serveur à l’heure de la demande. Causes habituelles : le certificat \
                ou la clé manque ou n’est pas lisible par l’utilisateur du service, la clé ne correspond \
                pas au certificat, ou les versions et suites de chiffrement configurées excluent tous les \
                clients actuels.",
        },
        spanish: CheckText {
            title: "el servidor ofrece el paso a TLS pero no lo completa",
            why: "El servidor anuncia TLS y después rechaza la petición, no tiene certificado o falla en \
                cada handshake. Los clientes oportunistas vuelven al texto claro, los que exigen TLS no \
                pueden conectarse, y una monitorización que solo mira la oferta no lo detecta.",
            fix: "Lea el registro del servidor a la hora de la petición. Causas habituales: el certificado \
                o la clave falta o el usuario del servicio no puede leerlo, la clave no corresponde al \
                certificado, o las versiones y suites de cifrado configuradas excluyen a todos los \
                clientes actuales.",
        },
    },
    Translation {
        id: "srv-not-enforced",
        german: CheckText {
            title: "der Server nimmt Befehle ohne TLS an",
            why: "Ein Angreifer, der das Angebot entfernt, hält den Client im Klartext, und der Server \
                bedient ihn. Verlangt der Server TLS, sind auch Clients geschützt, die es nicht verlangen. \
                Auf Port 25 ist das kein Fehler, weil ein öffentlicher Mailserver Mail im Klartext \
                annehmen muss.",
            fix: "Verlangen Sie auf diesem Listener TLS vor jedem Befehl, der Daten überträgt: Die \
                Einstellungen heißen etwa „require TLS“, „encrypt“, „force“ oder „security tls=“. \
                Veröffentlichen Sie für Port 25 stattdessen MTA-STS oder DANE, damit Absender TLS \
                verlangen.",
        },
        french: CheckText {
            title: "le serveur accepte des commandes sans TLS",
            why: "Un attaquant qui retire l’offre garde le client en clair, et le serveur le sert. Si le \
                serveur exige TLS, les clients qui ne l’exigent pas sont protégés aussi. Sur le port 25, \
                ce n’est pas une faute, car un serveur de messagerie public doit accepter le courrier en \
                clair.",
            fix: "Exigez TLS sur cet écouteur avant toute commande qui transfère des données : les \
                réglages s’appellent par exemple « require TLS », « encrypt », « force » ou « security \
                tls= ». Pour le port 25, publiez plutôt MTA-STS ou DANE, qui demandent aux expéditeurs \
                d’exiger TLS.",
        },
        spanish: CheckText {
            title: "el servidor acepta órdenes sin TLS",
            why: "Un atacante que elimina la oferta mantiene al cliente en texto claro, y el servidor lo \
                atiende. Si el servidor exige TLS, también quedan protegidos los clientes que no lo \
                exigen. En el puerto 25 no es un fallo, porque un servidor de correo público debe aceptar \
                correo en texto claro.",
            fix: "Exija TLS en este puerto antes de cualquier orden que transfiera datos: los ajustes se \
                llaman, por ejemplo, «require TLS», «encrypt», «force» o «security tls=». Para el puerto \
                25, publique MTA-STS o DANE, que indican a los remitentes que exijan TLS.",
        },
    },
    Translation {
        id: "srv-auth-before",
        german: CheckText {
            title: "der Server bietet vor TLS eine Anmeldung an oder nimmt sie an",
            why: "Ein Server, der eine Anmeldung im Klartext anbietet oder annimmt, erhält Passwörter im \
                Klartext: von jedem Client, der ohne TLS konfiguriert ist, und von jedem, dem ein \
                Angreifer das Angebot von TLS entfernt hat. Jeder auf dem Übertragungsweg kann diese \
                Passwörter mitlesen und speichern.",
            fix: "Erlauben Sie die Anmeldung nur in TLS: Die Einstellungen heißen etwa „auth only over \
                TLS“, „disable plaintext auth“ oder „require TLS for login“. Listen Sie vor TLS keine \
                Anmeldemechanismen auf.",
        },
        french: CheckText {
            title: "le serveur propose ou accepte une connexion avant TLS",
            why: "Un serveur qui propose ou accepte une authentification en clair reçoit des mots de passe \
                en clair : de chaque client configuré sans TLS, et de chaque client dont un attaquant a \
                retiré l’offre de TLS. Quiconque se trouve sur le chemin peut lire et conserver ces mots \
                de passe.",
            fix: "N’autorisez l’authentification que dans TLS : les réglages s’appellent par exemple « \
                auth only over TLS », « disable plaintext auth » ou « require TLS for login ». N’annoncez \
                aucun mécanisme d’authentification avant TLS.",
        },
        spanish: CheckText {
            title: "el servidor ofrece o acepta la autenticación antes de TLS",
            why: "Un servidor que ofrece o acepta la autenticación en texto claro recibe contraseñas en \
                texto claro: de cada cliente configurado sin TLS y de cada cliente al que un atacante \
                quitó la oferta de TLS. Cualquiera en la ruta puede leer y guardar esas contraseñas.",
            fix: "Permita la autenticación solo dentro de TLS: los ajustes se llaman, por ejemplo, «auth \
                only over TLS», «disable plaintext auth» o «require TLS for login». No anuncie mecanismos \
                de autenticación antes de TLS.",
        },
    },
    Translation {
        id: "srv-offer-inside",
        german: CheckText {
            title: "der Server bietet das Upgrade in TLS noch einmal an",
            why: "Der Server hat nicht bemerkt, dass TLS aktiv ist, oder seine Liste der Fähigkeiten \
                berücksichtigt das nicht. Clients, die sich auf die Liste verlassen, fordern das Upgrade \
                noch einmal an, und ein Server, der ein zweites Upgrade annimmt, führt Code aus, der \
                selten getestet wird.",
            fix: "Aktualisieren Sie den Server oder den Proxy, der TLS für ihn terminiert. Stellen Sie den \
                Proxy so ein, dass er dem Backend meldet, dass der Client TLS verwendet, oder das Angebot \
                entfernt.",
        },
        french: CheckText {
            title: "le serveur propose de nouveau le passage à TLS dans TLS",
            why: "Le serveur n’a pas enregistré que TLS est actif, ou sa liste de capacités n’en tient pas \
                compte. Les clients qui se fient à la liste redemandent le passage à TLS, et un serveur \
                qui en accepte un second exécute du code rarement testé.",
            fix: "Mettez à jour le serveur, ou le proxy qui termine TLS pour lui. Configurez le proxy pour \
                signaler au backend que le client utilise TLS, ou pour retirer l’offre.",
        },
        spanish: CheckText {
            title: "el servidor vuelve a ofrecer el paso a TLS dentro de TLS",
            why: "El servidor no registró que TLS está activo, o su lista de capacidades no lo tiene en \
                cuenta. Los clientes que se fían de la lista vuelven a pedir el paso a TLS, y un servidor \
                que acepta un segundo ejecuta código poco probado.",
            fix: "Actualice el servidor o el proxy que termina TLS por él. Configure el proxy para que \
                indique al backend que el cliente usa TLS, o para que elimine la oferta.",
        },
    },
    Translation {
        id: "srv-caps-kept",
        german: CheckText {
            title: "die Fähigkeiten in TLS sind dieselben wie im Klartext",
            why: "Ein Server sollte seine Fähigkeiten in TLS neu ankündigen, und Anmeldemechanismen \
                sollten nur dort erscheinen. Sind beide Listen gleich, bietet der Server vielleicht auch \
                im Klartext Anmeldungen an oder behält Zustand über die Grenze hinweg.",
            fix: "Vergleichen Sie die beiden Listen im Bericht. Kündigen Sie Mechanismen, die Passwörter \
                senden, nur in TLS an.",
        },
        french: CheckText {
            title: "les capacités dans TLS sont les mêmes qu’en clair",
            why: "Un serveur devrait annoncer de nouveau ses capacités dans TLS, et les mécanismes \
                d’authentification ne devraient apparaître que là. Si les deux listes sont identiques, le \
                serveur propose peut-être aussi l’authentification en clair, ou conserve un état au-delà \
                de la frontière.",
            fix: "Comparez les deux listes du rapport. N’annoncez que dans TLS les mécanismes qui envoient \
                des mots de passe.",
        },
        spanish: CheckText {
            title: "las capacidades dentro de TLS son las mismas que en texto claro",
            why: "Un servidor debería volver a anunciar sus capacidades dentro de TLS, y los mecanismos de \
                autenticación deberían aparecer solo allí. Si ambas listas son iguales, quizá el servidor \
                también ofrezca autenticación en texto claro o conserve estado al pasar a TLS.",
            fix: "Compare las dos listas del informe. Anuncie solo dentro de TLS los mecanismos que envían \
                contraseñas.",
        },
    },
];
