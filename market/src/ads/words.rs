//! The words by which a text's topic is told, in English, German, French, Spanish, Portuguese and
//! Italian.
//!
//! Words are lower-case and without accents, as [`super::text`] folds what it reads. `word*` stands for
//! every word that begins so; `two_words` for the one behind the other. The lists are public and short on
//! purpose: anybody can read why an ad was, or was not, beside an answer.

use super::{Category, Subject};

/// What words say about the topic.
pub(super) const TOPICS: &[(Category, &str)] = &[
    (
        Category::Technology,
        "algorithm* android api apis app apps async backend browser* bug bugs chatbot chip chips chrome cloud \
         code coding compil* comput* container* cpu css cyber* database* debug* deploy* developer* devops docker \
         excel firmware frontend function functions git github gpu gpus hardware html http internet iphone java \
         javascript json kernel kubernetes laptop* linux lifetimes llm macos machine_learning microservice* mysql \
         network neural npm open_source password* pixel postgres* processor* program* python query react \
         recursion regex router rust script* server* smartphone* software spreadsheet* sql sqlite technolog* \
         tensor typescript ubuntu usb web website* wifi windows datenbank* festplatte informatik programm* \
         rechner webseite* handy netzwerk informatique logiciel* ordinateur* programmation navigateur telephone \
         computadora* informatica ordenador* programacion programar teclado telefono pagina_web computador* \
         programacao telemovel celular programmazione calcolatore",
    ),
    (
        Category::Finance,
        "account accountant accounting asset assets bank banking banks bond bonds broker* budget* capital \
         cashflow credit_card credit_cards currenc* dividend* dollar* etf etfs euro euros exchange_rate financ* \
         fund funds index_fund inflation insurance interest_rate interest_rates invest* ira loan loans money \
         mortgage* pension* portfolio retirement salary saving savings stock stocks tax taxes wealth aktie* \
         anlage bausparen geld geldanlage haushaltsbuch kredit rente sparen sparplan steuer* versicherung* zinsen \
         argent assurance banque bourse epargne impot impots placement retraite ahorr* banco bolsa dinero \
         hipoteca impuesto* inversion* invertir jubilacion seguro* dinheiro imposto* investiment* poupanca banca \
         mutuo risparmi* tasse",
    ),
    (
        Category::HealthProducts,
        "collagen creatine deodorant floss fitness gym gyms massage mattress* moisturi* multivitamin* omega \
         pilates protein_powder protein_shake serum shampoo skincare skin_care smoothie sunscreen supplement* \
         toothbrush* toothpaste vitamin* wearable wellness workout* yoga zahnpasta zahnburste hautpflege \
         nahrungserganzung* sonnencreme dentifrice complement_alimentaire creme_solaire protector_solar \
         suplemento* vitamina* gimnasio academia palestra integrator* crema_solare",
    ),
    (
        Category::Entertainment,
        "actor* album anime band bands board_game board_games book_recommendation book_recommendations cartoon* \
         celebrit* cinema comedy comic* concert* console episode* festival* fiction film films game games gaming \
         guitar joke jokes lyrics manga meme memes movie* music netflix novel novels piano playlist playstation \
         podcast* poem poems puzzle* rhyme* season series singer song songs spotify stand_up story storytelling \
         streaming television theater theatre trailer trivia tv video_game video_games xbox buch bucher fernsehen \
         geschichte gedicht kino konzert* lied lieder musik spiel spiele witz blague chanson* jeu jeux livre* \
         musique poeme roman romans chiste* cancion* cuento juego* musica pelicula* poema* videojuego* conto \
         filme* jogo* livro* piada* canzon* giochi gioco libri libro",
    ),
    (
        Category::Education,
        "academic algebra astronom* biolog* calculus campus certification chemistry college course courses degree \
         diploma equation* essay* exam exams explain geograph* geometry grammar historian history homework learn \
         learning lecture* lesson* linguistic* literature math mathemat* moon moons planet* physics professor* \
         quiz saturn scholarship* school science semester stud* syllabus teach* textbook* theorem thesis tutor* \
         universit* vocabulary ausbildung chemie erklar* grammatik hausaufgabe* lernen mathe physik prufung* \
         schule sprachkurs studium unterricht wissenschaft apprendre chimie cours devoirs ecole etudi* examen* \
         grammaire histoire mathematiques physique aprender ciencia* clase* colegio curso* estudi* explica* \
         fisica gramatica historia matematica* quimica aula* ciencias escola estud* faculdade corso corsi esame \
         esami impar* lezion* scuola storia universita",
    ),
    (
        Category::Travel,
        "airbnb airline* airport* backpack* beach beaches booking camping cruise* destination* flight* hiking \
         holiday holidays hostel* hotel* island* itinerar* jet_lag luggage museum* passport resort* road_trip \
         sightseeing suitcase* tourism tourist* tours train_ride travel* trip trips vacation* visa ausflug berge \
         ferien flug fluge hotel koffer reise* strand urlaub* bagage* plage randonnee sejour vacances valise \
         voyage* vol aeropuerto avion equipaje maleta playa turismo vacacion* viaj* vuelo* aeroporto ferias praia \
         viagem viagens voo voos spiaggia vacanz* viagg* volo voli",
    ),
    (
        Category::Food,
        "bake baked baking barbecue bread breakfast cake cakes cheese chef chicken chocolate coffee cook cooked \
         cooking cuisine dessert* dinner dish dishes dough espresso flour garlic grill* ingredient* kitchen lunch \
         meal meals noodle* oven pancake* pasta pizza recipe* restaurant* rice salad* sauce sauces snack* soup* \
         spice* sushi tea vegan vegetable* vegetarian abendessen backen brot essen fruhstuck gemuse kaffee kase \
         kochen kuchen lebensmittel rezept* suppe cuisiner dejeuner diner fromage gateau* legumes petit_dejeuner \
         recette* repas almuerzo arroz cafe cena cocin* comida desayuno ensalada* pollo postre* queso receta* \
         almoco bolo cozinh* frango jantar queijo receita* cibo colazione cucin* dolce formaggio pranzo ricett*",
    ),
    (
        Category::Home,
        "apartment appliance* armchair backyard bathroom bedroom cat cats carpet* ceiling couch curtain* decor* \
         dishwasher dog dogs drill fridge furnitur* garden* home_improvement houseplant* interior lamp lawn* \
         living_room pet pets plant plants plumb* pupp* renovat* roof screwdriver shelf shelves sofa thermostat \
         vacuum_cleaner wallpaper washing_machine wardrobe balkon garten haustier* hund hunde katze* kuche* mobel \
         pflanze* regal* renovier* waschmaschine wohnung chien* jardin* maison meuble* plante* salon apartamento \
         casa cocina_integral gato* mueble* perro* planta* jardim cachorro* moveis arredament* cane cani gatti \
         gatto giardin* mobili piante",
    ),
    (
        Category::Sports,
        "athlet* badminton baseball basketball boxing champions_league coach cricket cycling football golf \
         goalkeeper hockey jogging league marathon* match nba nfl olympi* player players referee rugby runner \
         running ski skiing snowboard* soccer sport* stadium surfing swimm* team teams tennis tournament* \
         training triathlon volleyball world_cup fussball laufen mannschaft* radfahren schwimmen spieler \
         sportverein turnier* verein entrainement equipe equipes natation atletismo ciclismo entren* equipo* \
         futbol jugador* natacion partido_de corrida futebol jogador* treino* allenament* calcio giocator* nuoto \
         squadra",
    ),
    (
        Category::Fashion,
        "accessor* blouse boots bracelet* cardigan clothes clothing coat coats cosmetic* denim dress dresses \
         earring* eyeliner fashion* fragrance* hairstyle* handbag* hoodie* jacket* jeans jewel* lipstick* makeup \
         manicure mascara necklace* outfit* pants perfume* shirt* shoe shoes skirt* sneaker* style_tips suit \
         sunglasses sweater* tshirt* wristwatch* hose hosen jacke* kleid* ohrring* parfum* schmuck schuh* bijou* \
         chaussure* chemise* jupe* maquillage montre_bracelet pantalon* robe robes veste* vetement* camisa* \
         falda* joya* maquillaje moda ropa vestido* zapat* calca* maquiagem roupa* sapato* abbigliamento gioiell* \
         gonna pantaloni scarpe trucco vestit*",
    ),
    (
        Category::Automotive,
        "automobile* automotive bicycle* bike bikes brakes car carburetor cars diesel driving ebike electric_car \
         electric_cars electric_vehicle electric_vehicles engine engines ev evs garage gasoline gearbox \
         horsepower hybrid_car mechanic motorbike* motorcycle* odometer oil_change scooter* sedan suv suvs tesla \
         tire tires transmission truck trucks tyre* used_car vehicle* auto autos benzin elektroauto* fahrrad* \
         fahrrader motor* reifen werkstatt essence moto motos pneu* velo velos voiture* bicicleta* carro* coche* \
         gasolina llanta* neumatico* carros gasolio macchina pneumatic*",
    ),
    (
        Category::Business,
        "agile b2b brand* business* candidate* career* ceo client clients company competitor* consult* contract \
         contracts cover_letter customer* cv ecommerce e_commerce email employee* enterprise entrepreneur* \
         founder* freelanc* hire hiring hr interview invoice* job_description kpi kpis lead_generation leadership \
         linkedin logistic* manager* market marketing meeting meetings memo negotiat* newsletter office okr \
         onboarding pitch pricing product_manager productivit* project project_management recruit* resume revenue \
         roadmap saas sales seo startup* strateg* supplier* supply_chain team_lead vendor* workplace arbeitsplatz \
         bewerbung* firma gehalt kunde kunden lebenslauf mitarbeiter* rechnung* unternehm* vertrieb bureau cadre \
         client_final embauche emploi entreprise* facture* fournisseur* ventes cliente* curriculum emprend* \
         empleo empresa* entrevista factura* negocio* oficina ventas emprego fatura* negocios vendas azienda \
         aziend* clienti fattur* lavoro",
    ),
];

/// What words say about a sensitive subject. One of them is enough.
pub(super) const SENSITIVE: &[(Subject, &str)] = &[
    (
        Subject::HealthConditions,
        "abortion* aids allerg* alzheimer* flu antibiotic* arthrit* asthma autis* biopsy blood_pressure cancer* \
         chemo* chronic_pain concussion contagious covid* dementia diabet* diagnos* diarrh* disabilit* disabled \
         disease* doctor doctors epilep* fertility fever fibromyalgia hepatitis herpes hiv hospital* illness* \
         in_pain infect* insulin ivf kidney* leukemia lupus medication* medicine menopaus* migraine* miscarr* \
         nausea obes* oncolog* overweight parkinson* patients period_pain pregnan* prescri* psoriasis \
         radiotherapy seizure* side_effects sick sickness stroke surgery surgeon* symptom* tumor* tumour* ulcer* \
         vaccin* vomit* wheelchair arzt arzte arztin behinder* blutdruck durchfall erkrank* fieber krank* krebs \
         medikament* schlaganfall schmerz* schwanger* symptome ubelkeit accouchement avortement enceinte fievre \
         grossesse handicap* hopital maladie* malade* medecin* medicament* ordonnance_medicale douleur* symptome* \
         aborto* cirugia discapac* dolor* embaraz* enferm* fiebre medico* sintoma* vacuna* cirurgia deficien* \
         doenca* doente* febre gravid* remedio* vacina* cancro disabil* dolori febbre gravidanz* incint* malatt* \
         ospedale farmac* sintomi",
    ),
    (
        Subject::MentalHealth,
        "adhd anorexi* antidepress* anxiety anxious bipolar bulimi* burnout depressed depression depressi* \
         eating_disorder eating_disorders lonely loneliness mental_health mental_illness ocd panic_attack \
         panic_attacks psychiatr* psycholog* psychos* psychotherap* ptsd schizo* therapist* therapy trauma \
         traumat* angststorung depressionen einsam* essstorung* panikattacke* therapeut* angoisse anxiete deprim* \
         depressif depressive solitude ansiedad ansiedade ansia depresi* depressao psicolog* psiquiatr* \
         psichiatr* soledad solidao terapeut* solitudine",
    ),
    (
        Subject::SelfHarm,
        "cut_myself cutting_myself end_it_all end_my_life harm_myself hurt_myself kill_myself overdos* self_harm \
         self_harms selfharm* suicid* want_to_die wants_to_die selbstmord* selbstverletz* suizid* umbringen \
         automutil* autoles* suicidar* matarme matarse quitarme_la autolesion*",
    ),
    (
        Subject::Grief,
        "bereav* buried burial condolenc* cremat* dead death deaths deceased has_died die_from die_of died dying \
         eulogy funeral* grave grief griev* memorial_service mourn* obituar* passed_away stillb* to_die widow* \
         beerdig* beileid bestattung* gestorben sterb* tod todes tot trauer* verstorben* witwe* deces deuil \
         enterrement funeraill* funerair* mort morte morts mourir obseques duelo entierro fallec* luto morir \
         muert* murio pesame velatorio viud* enterro falec* morreu morrer velorio defunt* lutto mori morire morto",
    ),
    (
        Subject::Minors,
        "babies baby babysit* bullied bullying child childhood children daughter* infant* juvenile* kid kids \
         kindergart* minors my_son newborn* nursery pediatr* preschool* pupil* schoolboy* schoolgirl* teen \
         teenage* teens toddler* underage year_old years_old young_people jahrige jahriger jahre_alt jugendlich* \
         kinder* kindes kita mein_kind meine_tochter mein_sohn minderjahr* saugling* schuler* teenager \
         adolescent* bebe bebes enfan* fille garcon ma_fille mineur* mon_fils nourrisson* adolesc* hija* hijo* \
         menor_de menores nina* nino* crianca* filha* filho* menina* menino* bambin* figli figlia figlio \
         minorenn* neonat* ragazzin*",
    ),
    (
        Subject::Sexuality,
        "bisexual* condom* contracepti* dildo erect* erotic* escort fetish* gay gays gender_identity hentai \
         heterosexual* homosexual* intercourse lesbian* lgbt* libido masturbat* naked nonbinary nsfw nude* \
         orgasm* penis porn* prostitut* pubert* queer sex sexting sexual* sexy transgender* transsexual* vagina* \
         viagra kondom* nackt* schwul* sexuell* verhut* erotik* contracept* homosexuel* nu nue preservatif* sexe \
         sexuel* anticoncep* desnud* homosex* preservativo* sexo erotismo lesbica* nudo omosessual* sesso \
         sessual*",
    ),
    (
        Subject::Violence,
        "abuse abused abuser abusive ammo ammunition assassin* assault* at_war attacked behead* bomb bombing* \
         bombs civil_war domestic_violence explosive* genocid* grenade* gun guns harass* hostage* kill killed \
         killer* killing kills knife_attack massacre* molest* murder* rape raped rapist* rifle* shooting \
         shootings slaughter* stab stabbed stabbing stalker* stalking terroris* the_war tortur* violen* warfare \
         wars weapon* world_war angriff bedroh* bombe* ermord* gewalt* krieg* missbrauch* mord morde* morder* \
         terror* toten totung* vergewaltig* waffe* arme_a armes assassin attentat* guerre* meurtr* terrorisme \
         tuer viol violeur* abuso* acoso arma armas asesin* guerra* homicid* matar terroris violac* assassinato \
         estupro terrorismo abusi armi omicidi* stupr* uccid* uccis*",
    ),
    (
        Subject::Politics,
        "activis* ballot public_policy brexit campaign_trail candidate_for communis* congress* conservatives \
         democrat* dictator* elect elected election* feminis* geopoliti* governor government* gun_control \
         immigration_policy impeach* legislat* lobby* nato parliament* partisan politic* politik* populis* \
         president presidential prime_minister propaganda protest* referend* republican* revolution* sanctions \
         senat* socialis* ukraine united_nations vote voted voter* votes voting war_in_ukraine white_house \
         abgeordnet* bundeskanzler* bundestag* kanzler* partei parteien regierung* wahl wahlen wahler* depute* \
         gouvernement* parlement* politiq* premier_ministre scrutin* voter candidato_a elecci* gobierno* \
         parlament* partido* presidente* votar voto votos eleic* eleito governo governos elezion* votare voti",
    ),
    (
        Subject::Religion,
        "allah atheis* baptis* bible biblical bishop* buddh* cathol* chapel christian* church* clergy gospel god \
         gods hindu* imam* islam* jesus jewish jews judaism koran* mosque* muslim* orthodox pastor* pope pray \
         prayed prayer* praying priest* protestant* quran* rabbi* ramadan religi* sabbath scripture* sermon* \
         synagog* temple torah worship* bibel* gebet* glaube glauben gott gottes juden judisch* kirche* moschee* \
         papst pfarrer* chretien* dieu eglise* la_foi judaisme juif* mosquee* musulman* pape priere* pretre* \
         biblia catol* cristian* dios iglesia* la_fe judi* mezquita* musulm* oracion* papa rezar sacerdote* deus \
         igreja* orar bibbia chiesa* cristo dio ebre* fede moschea preghier* prete",
    ),
    (
        Subject::Origin,
        "antisemit* asylum caste deport* ethnic* green_card immigra* indigenous migrant* minority minorities \
         race_relations racial* racis* refugee* undocumented xenophob* abschieb* asyl* auslander* einwander* \
         fluchtling* rassis* zuwander* asile clandestin* expuls* immigre* sans_papiers asilo deportac* etni* \
         indocumentad* inmigra* migracion* refugiad* imigra* raca rifugiat* immigrazion* razzis* razzism*",
    ),
    (
        Subject::DebtDistress,
        "bankrupt* behind_on cant_pay cannot_afford collection_agency debt debts evict* fired foreclos* food_bank \
         homeless* i_am_broke indebted insolven* jobless laid_off layoff* lost_my my_debt overdraft payday_loan \
         payday_loans repossess* unemploy* welfare_benefits arbeitslos* gekundigt insolvenz* pleite raumungsklage \
         schulden* uberschuld* verschuld* chomage chomeur* dette dettes expulsion faillite* licenci* surendett* \
         bancarrota desahuci* desemple* deuda* endeud* quiebra* despej* desempreg* divida* endivid* falenc* \
         debiti debito disoccupa* falliment* indebit* sfratt*",
    ),
    (
        Subject::LegalTrouble,
        "arrest* attorney bail burglar* on_trial convict* court courts crime crimes criminal* custody defendant* \
         felony fraud* guilty illegal* indict* jail* lawsuit* lawyer* misdemeanor parole plaintiff police prison* \
         probation prosecut* restraining_order steal stealing stolen sued theft warrant anwalt* anzeige betrug \
         diebstahl gefangnis gericht gerichts* haft polizei* straf* verbrech* verhaft* avocat* crimin* delit* \
         garde_a plainte prison proces tribunal* vol_a abogad* carcel condena* crimen* delito* demanda_judicial \
         denuncia* juicio juzgado policia* robo advogad* cadeia crime preso presos processo_judicial avvocat* \
         carcere denunci* polizia processo reato reati",
    ),
    (
        Subject::Addiction,
        "addict* alcohol* amphetamin* beer bet bets betting booze cannabis casino* cigarette* cocaine drug drugs \
         drunk ecstasy fentanyl gambl* hangover heroin ketamine liquor lsd marijuana meth methamphet* narcotic* \
         nicotine opioid* poker psychedelic* rehab sober sobriety smoker* smoking substance_abuse tobacco vape \
         vaping vodka weed whiskey whisky wine wines alkohol* bier drogen glucksspiel* kokain rauchen sucht* \
         trinken_sie wein wetten zigarette* alcool* biere* cigarette drogue* fumer jeux_de paris_sportif \
         paris_sportifs tabac vin vins adicci* apuesta* cerveza* cigarrillo* cocaina droga* fumar marihuana \
         tabaco vino vinos alcoolis* aposta* cerveja* maconha vicio vinho* alcolis* birra dipendenz* fumare \
         scommess* sigarett* tabacco",
    ),
    (
        Subject::Separation,
        "alimony breakup broke_up child_support divorc* my_ex separated_from unfaithful betrogen scheidung* \
         getrennt_von trennung* rupture separation_de infidele separarme infiel* separacao traicao separazion* \
         tradiment*",
    ),
];

/// Small words by which a text is known to be in one of the six languages.
pub(super) const SMALL: &str = "\
    a about after all also an and any are as at be because been before between but by can could did do does \
    each for from had has have he her here him his how i if in into is it its just like make me more most my \
    new no not of on one only or other our out over she should so some such than that the their them then \
    there these they this those to two up us use was we were what when where which who why will with would \
    write you your please tell give best good know need want \
    aber alle als am auch auf aus bei bin bis das dass dem den der des die dich dir du durch ein eine einem \
    einen einer es fur gibt haben hat ich ihr im ist ja kann kein keine man mehr mein meine mich mir mit nach \
    nicht noch nur oder sein sich sie sind uber um und uns unter vom von vor was welche wenn wer werden wie \
    wir wird wo zu zum zur zwischen \
    au aux avec ce ces cette comment dans de des donne du elle elles en est et etre eux faire font il ils je \
    la le les leur lui mais me meme mes moi mon ne nos notre nous ou par pas peut plus pour pourquoi qu que \
    quel quelle quels qui quoi sa sans se ses si son sont sur ta te tes toi ton tous tout tu un une votre \
    vous y \
    al algo como con cual cuando cuanto del desde donde el ella ellos entre era eres es esta este esto hace \
    hacer hay la las lo los mas mejor mi mis muy nada ni o para pero por porque puede puedo que quien se ser \
    si sin sobre son soy su sus tambien te tiene tu tus un una uno y ya \
    ao aos as com como da das de do dos e ela ele eles em essa esse eu faz fazer isso mais mas mesmo meu \
    minha muito na nao nas nem no nos nossa nosso o os ou para pela pelo pode por porque qual quando que quem \
    sao se sem ser seu sua tem um uma voce \
    a ad agli ai al alla alle allo anche che chi ci come con cosa cui da dal dalla dei del della delle di e \
    ed fare fra gli ha hai hanno ho i il in io la le lei loro lui ma mi mia mio ne nei nel nella no noi non \
    o per perche piu puo quale quando quanto quello questa questo se sei si sono su sua sul sulla suo ti tra \
    tu un una uno vi voi";
