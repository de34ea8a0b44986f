/* language_test.c: what counts as a word, which language it is in, the share, and its abuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reward-server/scoring/text/tongue.h"
#include "scoring_cases.h"

/* A few sentences of reasoning in each language. */
/* clang-format off */
#define EN \
    "First we add the numbers on both sides. The sum is then divided by two, so that " \
    "the answer must be an even number. We check this with a small example before " \
    "going on."
#define DE \
    "Zuerst addieren wir die Zahlen auf beiden Seiten. Die Summe wird dann durch " \
    "zwei geteilt, so dass die Antwort gerade sein muss. Wir prüfen das an einem " \
    "Beispiel."
#define FR \
    "D'abord nous ajoutons les nombres des deux côtés. La somme est ensuite divisée " \
    "par deux, donc la réponse doit être un nombre pair. Nous vérifions avec un " \
    "exemple."
#define ES \
    "Primero sumamos los números de ambos lados. Después la suma se divide por dos, " \
    "así que la respuesta tiene que ser un número par. Lo comprobamos con un ejemplo."
#define IT \
    "Prima sommiamo i numeri di entrambi i lati. La somma viene poi divisa per due, " \
    "quindi la risposta deve essere un numero pari. Lo verifichiamo con un esempio."
#define PT \
    "Primeiro somamos os números dos dois lados. Depois a soma é dividida por dois, " \
    "então a resposta tem que ser um número par. Vamos verificar isso com um exemplo."
#define NL \
    "Eerst tellen we de getallen aan beide kanten op. De som wordt dan door twee " \
    "gedeeld, dus het antwoord moet een even getal zijn. We controleren dit met een " \
    "voorbeeld."
#define RU \
    "Сначала сложим числа с обеих сторон. Затем сумма делится на два, поэтому ответ " \
    "должен быть чётным числом. Проверим это на небольшом примере."
#define UK \
    "Спочатку додамо числа з обох сторін. Потім сума ділиться на два, тому відповідь " \
    "має бути парним числом. Перевіримо це на невеликому прикладі."
#define ZH \
    "首先我们把两边的数相加，然后把和除以二，所以答案一定是偶数。我们用一个小例子来验证。"
#define JA \
    "まず両辺の数を足します。次にその合計を二で割るので、答えは偶数でなければなりません。小さな例で確かめましょう。"
#define KO \
    "먼저 양쪽의 수를 더합니다. 그런 다음 합을 둘로 나누므로 답은 짝수여야 합니다. 예를 들어 확인해 봅시다."
#define EL \
    "Πρώτα προσθέτουμε τους αριθμούς. Μετά διαιρούμε το άθροισμα με το δύο."
/* clang-format on */

static const struct {
    const char *code, *text;
} samples[] = {{"en", EN}, {"de", DE}, {"fr", FR}, {"es", ES}, {"it", IT}, {"pt", PT}, {"nl", NL},
    {"ru", RU}, {"uk", UK}, {"zh", ZH}, {"ja", JA}, {"ko", KO}, {"el", EL}};

static struct score_result score_in(const char *code, const char *text, size_t n)
{
    char params[64];
    (void)snprintf(params, sizeof(params), "{\"language\":\"%s\"}", code);
    return score_text("language", params, "{}", text, n);
}

static double value_in(const char *code, const char *text)
{
    return score_in(code, text, strlen(text)).value;
}

static void each_language_is_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        for (size_t k = 0; k < ARRAY_LEN(samples); k++) {
            double v = value_in(samples[k].code, samples[i].text);
            if (i == k ? v < 0.97 : v > 0.06)
                fail_msg("%s as %s: %g", samples[i].code, samples[k].code, v);
        }
    }
}

/* Two halves in two languages: the share is the share of words. */
static void mixed_reasoning_has_a_share(void **state)
{
    (void)state;
    assert_in_range(value_in("en", EN " " DE) * 100, 45, 60);
    assert_in_range(value_in("en", EN "\n" RU) * 100, 55, 68);
    assert_in_range(value_in("zh", ZH EN) * 100, 45, 60);
    struct score_result r = score_in("en", EN " 因为 " EN, strlen(EN " 因为 " EN));
    assert_true(r.value > 0.95 && r.value < 1 && r.verdict == VERDICT_PASS);
    assert_string_equal(r.extracted, "因为");
    assert_non_null(strstr(r.reason, "; zh 2"));
    r = score_in("en", DE, strlen(DE));
    assert_int_equal(r.verdict, VERDICT_WRONG);
    assert_non_null(strstr(r.reason, "0 of "));
}

static void only_the_thought_counts(void **state)
{
    (void)state;
    assert_true(value_in("en", "<think>" EN "</think>" DE) == 1);
    assert_true(value_in("en", "<think>" DE "</think>" EN) < 0.06);
    assert_true(value_in("en", EN "</think>" DE) == 1); /* the prompt ends with <think> */
    assert_true(value_in("en", "<think>" EN) == 1);
    /* Nothing before the end of the thought is out of it. */
    assert_true(value_in("en", DE "<think>" EN "</think>") < 0.6);
    assert_true(value_in("en", "<think>" EN "</think>" DE "</think>") < 0.6);
}

/* Words as `text` separated by blanks, for a comparison. */
static void words_of(const char *text, struct buf *out)
{
    struct prose p;
    struct prose_word w;
    buf_puts(out, "");
    prose_init(&p, (struct span){text, strlen(text)});
    while (prose_next(&p, &w)) {
        buf_puts(out, out->len > 0 ? " " : "");
        buf_append(out, w.text.at, w.text.n);
    }
}

static void what_is_no_prose_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"So x = 3, y1 = 4 and foo_bar.", "So and"},
        {"We have $\\alpha x + \\text{gesamt} = ab$ here", "We have gesamt here"},
        {"\\(abc\\) and \\[def \\sin\\] or $$xyz$$ end", "and or end"},
        {"It costs $5 or so.\n\nThen more", "It costs Then more"},
        {"See https://example.org/der/die and www.das.de now", "See and now"},
        {"run\n```python\nfor item in list: # 计算\n```\nthen", "run 计 算 then"},
        {"run\n~~~\nprint\n```\nmore\n~~~\nthen", "run then"},
        {"run\n```\nprint to the end", "run"},
        {"use `print` and `x", "use and"},
        {"use `a span that is so long that nobody would take it for a name of something`",
            "use span that is so long that nobody would take it for name of something"},
        {"共3个苹果", "共 个 苹 果"},
        {"don't l'eau", "don eau"},
        {"<think>eins</think><answer>zwei</answer>", "eins zwei"},
        {"a\xcc\x81"
         "b th\xe2\x80\x8b"
         "e",
            "a\xcc\x81"
            "b th\xe2\x80\x8b"
            "e"},
        {"ab\xff\xfe"
         "cd",
            "ab \xff\xfe cd"},
        {"\\", ""},
        {"$", ""},
        {"`", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf words = {0};
        words_of(cases[i].text, &words);
        if (strcmp((const char *)words.data, cases[i].words) != 0)
            fail_msg("'%s': '%s', expected '%s'", cases[i].text, (const char *)words.data,
                cases[i].words);
    }
}

static void names_do_not_count_unless_all_are(void **state)
{
    (void)state;
    assert_true(value_in("en", "Then we ask Jürgen Müller and also Женя for the number.") == 1);
    assert_true(value_in("en", "Das Ist Die Summe Aller Zahlen Und Sie Muss Gerade Sein") < 0.2);
}

static void too_few_words_have_no_share(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", " ", "<think></think>" EN, "1 + 2 = 3", "$x^2$", "so so"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct score_result r = score_in("en", texts[i], strlen(texts[i]));
        assert_true(r.value == 0 && r.verdict == VERDICT_NO_ANSWER);
        r = score_text(
            "language", "{\"empty\":0.5,\"min-words\":3}", "{}", texts[i], strlen(texts[i]));
        assert_true(r.value == 0.5);
    }
}

/* One word of the language over and over does not outweigh a thought in another. */
static void repetition_does_not_pay(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = {0};
    buf_puts(&text, DE);
    for (int i = 0; i < 1000; i++)
        buf_puts(&text, " the");
    struct score_result r = score_in("en", (const char *)text.data, text.len);
    assert_true(r.value < 0.15);
    assert_non_null(strstr(r.reason, "repetitions left out"));
}

/* Other letters in a word, and letters that only look like it, are not of the language. */
static void disguises_do_not_help(void **state)
{
    (void)state;
    assert_true(value_in("en", "thе sum оf thе numbеrs is еvеn sо wе аdd") < 0.4); /* Cyrillic */
    assert_true(value_in("en", "𝐭𝐡𝐞 𝐬𝐮𝐦 𝐨𝐟 𝐭𝐡𝐞 𝐧𝐮𝐦𝐛𝐞𝐫𝐬 𝐢𝐬 𝐞𝐯𝐞𝐧") == 0);
    assert_true(value_in("de", "zu\xe2\x80\x8b"
                               "erst ist die Su\xcc\x88mme durch zwei teilbar") == 1);
    assert_true(value_in("en", "```\n" EN "\n因为所以我们的答案是这个数\n```\n") == 0);
}

static void the_task_may_name_the_language(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {"{\"think_language\":\"de\"}", DE, VERDICT_PASS, "", NULL},
        {"{\"think_language\":\"de\",\"language\":\"python\"}", DE, VERDICT_PASS, "", NULL},
        {"{\"think_language\":\"xx\"}", DE, VERDICT_JUDGE_FAULT, "", "expected one of en, de"},
        {"{\"think_language\":\"??\"}", DE, VERDICT_JUDGE_FAULT, "", "expected one of en, de"},
        {"{\"think_language\":7}", DE, VERDICT_JUDGE_FAULT, "", "not text"},
        {"{", DE, VERDICT_JUDGE_FAULT, "", "not JSON"},
    };
    check_cases("language", "{\"language\":\"fr\"}", cases, ARRAY_LEN(cases));
}

static void hostile_texts_are_bounded(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "the ", "\xff", "$", "`", "```\n", "\\(", "\\", "的",
        "A", "www.", "://", "<think>", "\n", "\xcc\x80", "\xf0\x9d\x90\x80"};
    static const char zeros[1 << 20];
    assert_int_equal(score_in("en", zeros, sizeof(zeros)).verdict, VERDICT_NO_ANSWER);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len < 1 << 20)
            buf_puts(&text, units[i]);
        double v = score_in("en", (const char *)text.data, text.len).value;
        assert_true(v >= 0 && v < 0.2);
    }
}

static void parameters_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *params, *says;
    } cases[] = {
        {"{\"language\":\"xx\"}", "'xx', expected one of en, de"},
        {"{\"language\":\"\"}", "expected one of en"},
        {"{\"min-words\":0}", "'min-words'"},
        {"{\"empty\":1.5}", "from 0 to 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scorer_spec spec = {"s", "language", cases[i].params};
        struct scoring *s = NULL;
        struct err e = {0};
        assert_int_equal(scoring_open(&spec, 1, &s, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, cases[i].says));
    }
}

static void codes_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < TONGUE_COUNT; i++) {
        const char *code = tongue_code((enum tongue)i);
        assert_int_equal(tongue_parse(code), code[0] == '?' ? -1 : i);
        assert_int_equal(strstr(tongue_codes(), code) != NULL, code[0] != '?');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_language_is_its_own),
        cmocka_unit_test(mixed_reasoning_has_a_share),
        cmocka_unit_test(only_the_thought_counts),
        cmocka_unit_test(what_is_no_prose_is_left_out),
        cmocka_unit_test(names_do_not_count_unless_all_are),
        cmocka_unit_test(too_few_words_have_no_share),
        cmocka_unit_test(repetition_does_not_pay),
        cmocka_unit_test(disguises_do_not_help),
        cmocka_unit_test(the_task_may_name_the_language),
        cmocka_unit_test(hostile_texts_are_bounded),
        cmocka_unit_test(parameters_are_checked),
        cmocka_unit_test(codes_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
