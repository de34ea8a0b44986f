/* short_words.c: see short_words.h. */
#include "reward-server/scoring/text/short_words.h"

#include "common/base/mem.h"

const struct short_word_list short_word_lists[] = {
    {TONGUE_EN,
        "the of and to in is that it for was on are as with his they be at one have this from or "
        "had by but some what there we can out other were all your when up use how said an each "
        "she which do their if will way about many then them would like so these her him has more "
        "two could go see no than been who its now did get made may part over new after only "
        "little know me our every under same another because any through much before also here "
        "must even such not you my he us am where why while since until both between does done "
        "being let thus hence therefore so first next step total number answer equals equal sum "
        "times half each left right three four five six seven eight nine ten find need means per "
        "should into off again once just still wait okay hmm yes well very don doesn isn won ve "
        "ll re think check gives get got want into problem question"},
    {TONGUE_DE,
        "der die das und ist in zu den von mit nicht ein eine einen einem einer eines auf für im "
        "dem des sich es an auch als wie bei aus nach um am sind oder wenn so dass daß man nur "
        "noch kann wird werden wurde war hat haben hatte sein seine seiner ich du er sie wir ihr "
        "ihm ihn uns euch mich mir dich dir zum zur vom beim über unter durch gegen ohne bis vor "
        "zwischen aber denn weil da dann also daher somit hier dort wo was wer welche welcher "
        "welches dieser diese dieses diesen jede jeder jedes alle alles mehr als sehr schon immer "
        "nun jetzt zuerst erst zwei drei vier fünf sechs sieben acht neun zehn ja nein doch muss "
        "müssen soll sollte können gilt ergibt gleich zahl summe antwort insgesamt haben hätte "
        "wäre würde damit davon dazu dabei sowie keine kein keinen"},
    {TONGUE_FR,
        "le la les un une des du de et est en que qui dans pour pas ne ce se sur au aux par plus "
        "il elle ils elles nous vous je tu on son sa ses mon ma mes leur leurs notre votre cette "
        "ces cet avec sont était ont avait été être avoir fait peut comme mais ou où donc or ni "
        "car si tout tous toute toutes aussi très bien même sans sous entre vers chez après avant "
        "depuis pendant alors ainsi puis quand lorsque dont quel quelle quelles quels lui y deux "
        "trois quatre cinq six sept huit neuf dix faut doit soit chaque nombre réponse somme "
        "égal égale total premier première ici là cela ça oui non rien encore déjà toujours "
        "jamais peu beaucoup moins"},
    {TONGUE_ES,
        "el la los las un una unos unas de del y es en que no se por con para su sus al lo como "
        "más pero le ya o este esta estos estas ese esa eso esto si sí porque cuando muy sin "
        "sobre también me hasta hay donde quien desde todo todos toda todas nos durante uno dos "
        "tres cuatro cinco seis siete ocho nueve diez ni contra otros otra otro ante ellos ellas "
        "él ella yo tú mi te e entre antes algunos qué cuál unos cada son fue era ser está están "
        "tiene tienen tenemos han ha había puede pueden debe hacer así entonces luego ahora aquí "
        "número respuesta suma igual total primero después según vez mismo misma"},
    {TONGUE_IT,
        "il lo la i gli le un uno una di del della dello dei degli delle e è in che non si per "
        "con da dal dalla al alla allo ai agli alle nel nella nello nei negli nelle sul sulla su "
        "come più ma anche o se questo questa questi queste quello quella quelli sono era essere "
        "ha hanno ho abbiamo aveva stato fatto può deve ci ne mi ti lui lei noi voi loro io tu "
        "suo sua suoi sue mio mia quando dove chi cosa quale perché poi quindi allora così dunque "
        "ora qui ogni tutto tutti tutte due tre quattro cinque sei sette otto nove dieci numero "
        "risposta somma uguale totale primo prima dopo tra fra senza molto già ancora solo"},
    {TONGUE_PT,
        "o a os as um uma uns umas de do da dos das e é em no na nos nas que não se por para com "
        "ao aos à às como mais mas ou seu sua seus suas ele ela eles elas nós você eu me lhe isso "
        "isto este esta esse essa aquele pelo pela pelos pelas são foi era ser está estão tem têm "
        "temos há havia pode podem deve fazer quando onde quem qual porque também já muito sem "
        "sobre até entre depois antes cada todo todos toda todas dois duas três quatro cinco seis "
        "sete oito nove dez número resposta soma igual total primeiro então assim agora aqui logo "
        "só ainda mesmo num numa"},
    {TONGUE_NL,
        "de het een en van in is dat op te zijn met voor niet aan er die om ook als dan maar of "
        "bij uit door naar over tot zich wordt worden werd was waren heeft hebben had kan kunnen "
        "moet moeten zal zullen zou wil we wij je jij hij zij ze hun haar hem ons onze mijn jouw "
        "ik u dit deze welke wat wie waar wanneer omdat want dus nu nog wel geen al alle elk elke "
        "meer veel zo hier daar eerst twee drie vier vijf zes zeven acht negen tien getal antwoord "
        "som gelijk totaal na tussen onder tegen zonder toen ja nee"},
    {TONGUE_RU,
        "и в не на что с по как это он она они оно мы вы ты я все всё так его её их но за то от "
        "бы из у же к для до или если был была было были есть быть мне нам вам только ещё уже "
        "когда где кто чем при без под над об который которая которые этот эта эти того этого "
        "можно нужно надо тогда теперь потом значит поэтому также тоже два три четыре пять шесть "
        "семь восемь девять десять число ответ сумма равно всего каждый после перед между"},
    {TONGUE_UK,
        "і в не на що з як це він вона вони воно ми ви ти я все так його її їх але за то від би "
        "із у та до для або якщо був була було були є бути мені нам вам тільки ще вже коли де хто "
        "чим при без під над про який яка які цей ця ці того цього можна треба тоді тепер потім "
        "також два три чотири шість сім вісім десять число відповідь сума дорівнює"},
    {TONGUE_ZH,
        "的 们 這 这 么 吗 呢 吧 没 說 说 个 個 是 我 你 他 她 它 在 有 和 不 了 也 就 都 要 会 能 "
        "对 "
        "与 为 则 设 则 将 把 被 从 到 那 很 还 让 给 已 题 数 时 应 该 们 两 几 谁 哪 请 问 答 案 "
        "计 算 步 骤 首 先 然 后 因 所 以 如 果 但 得 出 总 共 每 减 乘 除 于 来 过 吧 啊"},
    {TONGUE_JA,
        "込 働 峠 畑 辻 桁 図 円 変 択 対 応 値 関 係 検 証 単 価 売 読 書 駅 済 掛 個 歳 毎 私 彼 "
        "確 認 必 要 達 様 沢 当 残 割 匹 枚 頃 組 込 験 経 団 図 広 県 実 気 楽 権 悪 圧 囲 栄"},
};
const size_t short_word_list_count = ARRAY_LEN(short_word_lists);

const struct own_letter own_letters[] = {
    {0xdf, TONGUE_DE},                                                          /* ß */
    {0xe4, TONGUE_DE},                                                          /* ä */
    {0xf6, TONGUE_DE},                                                          /* ö */
    {0xfc, TONGUE_DE},                                                          /* ü */
    {0xe0, TONGUE_FR},                                                          /* à */
    {0xe0, TONGUE_IT}, {0xe0, TONGUE_PT}, {0xe2, TONGUE_FR},                    /* â */
    {0xe2, TONGUE_PT}, {0xe7, TONGUE_FR},                                       /* ç */
    {0xe7, TONGUE_PT}, {0xe8, TONGUE_FR},                                       /* è */
    {0xe8, TONGUE_IT}, {0xe9, TONGUE_FR},                                       /* é */
    {0xe9, TONGUE_ES}, {0xe9, TONGUE_PT}, {0xe9, TONGUE_IT}, {0xea, TONGUE_FR}, /* ê */
    {0xea, TONGUE_PT}, {0xeb, TONGUE_FR},                                       /* ë */
    {0xeb, TONGUE_NL}, {0xee, TONGUE_FR},                                       /* î */
    {0xef, TONGUE_FR},                                                          /* ï */
    {0xef, TONGUE_NL}, {0xf4, TONGUE_FR},                                       /* ô */
    {0xf4, TONGUE_PT}, {0xf9, TONGUE_FR},                                       /* ù */
    {0xf9, TONGUE_IT}, {0xfb, TONGUE_FR},                                       /* û */
    {0x153, TONGUE_FR},                                                         /* œ */
    {0xe1, TONGUE_ES},                                                          /* á */
    {0xe1, TONGUE_PT}, {0xed, TONGUE_ES},                                       /* í */
    {0xed, TONGUE_PT}, {0xf3, TONGUE_ES},                                       /* ó */
    {0xf3, TONGUE_PT}, {0xfa, TONGUE_ES},                                       /* ú */
    {0xfa, TONGUE_PT}, {0xf1, TONGUE_ES},                                       /* ñ */
    {0xec, TONGUE_IT},                                                          /* ì */
    {0xf2, TONGUE_IT},                                                          /* ò */
    {0xe3, TONGUE_PT},                                                          /* ã */
    {0xf5, TONGUE_PT},                                                          /* õ */
    {0x44b, TONGUE_RU},                                                         /* ы */
    {0x44d, TONGUE_RU},                                                         /* э */
    {0x44a, TONGUE_RU},                                                         /* ъ */
    {0x451, TONGUE_RU},                                                         /* ё */
    {0x456, TONGUE_UK},                                                         /* і */
    {0x457, TONGUE_UK},                                                         /* ї */
    {0x454, TONGUE_UK},                                                         /* є */
    {0x491, TONGUE_UK},                                                         /* ґ */
};
const size_t own_letter_count = ARRAY_LEN(own_letters);
