#include "common/os/os_tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/os_clock.h"
#include "common/os/os_file.h"
#include "tests/lib/unit.h"

static char folder[64];
static char certificate[96], key[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/satchel-tls-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(certificate);
    unlink(key);
    return rmdir(folder);
}

static struct wall_time now(void)
{
    struct clock clock = os_clock();
    return clock_wall(&clock);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return (unsigned)status.st_mode & 07777;
}

static X509 *read_certificate(void)
{
    FILE *file = fopen(certificate, "r");
    assert_non_null(file);
    X509 *read = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(read);
    return read;
}

static void a_certificate_is_for_its_names(void **state)
{
    const char *const names[] = {"hq.example.org", "127.0.0.1", "::1"};
    uint8_t pin[OS_TLS_PIN_SIZE];
    (void)state;
    assert_ok(os_tls_make_certificate(certificate, key, names, 3, now(), NULL));
    assert_int_equal(mode_of(certificate), 0600);
    assert_int_equal(mode_of(key), 0600);
    assert_ok(os_tls_pin(certificate, pin, NULL));
    X509 *read = read_certificate();
    assert_int_equal(X509_check_host(read, "hq.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(read, "other.example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(read, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(read, "::1", 0), 1);
    assert_int_equal(X509_cmp_current_time(X509_get0_notBefore(read)), -1);
    assert_int_equal(X509_cmp_current_time(X509_get0_notAfter(read)), 1);
    assert_int_equal(X509_verify(read, X509_get0_pubkey(read)), 1);
    X509_free(read);
}

static void a_new_certificate_keeps_key_and_pin(void **state)
{
    const char *const names[] = {"localhost"};
    uint8_t first[OS_TLS_PIN_SIZE], second[OS_TLS_PIN_SIZE];
    (void)state;
    assert_ok(os_tls_make_certificate(certificate, key, names, 1, now(), NULL));
    assert_ok(os_tls_pin(certificate, first, NULL));
    assert_err(os_tls_make_certificate(certificate, key, names, 1, now(), NULL), ERR_EXISTS);
    assert_int_equal(unlink(certificate), 0);
    assert_ok(os_tls_make_certificate(certificate, key, names, 1, now(), NULL));
    assert_ok(os_tls_pin(certificate, second, NULL));
    assert_memory_equal(first, second, sizeof first);
    assert_int_equal(unlink(certificate), 0);
    assert_int_equal(unlink(key), 0);
    assert_ok(os_tls_make_certificate(certificate, key, names, 1, now(), NULL));
    assert_ok(os_tls_pin(certificate, second, NULL));
    assert_memory_not_equal(first, second, sizeof first);
}

static void one_file_may_hold_both(void **state)
{
    const char *const names[] = {"localhost"};
    uint8_t pin[OS_TLS_PIN_SIZE];
    struct buf text;
    (void)state;
    assert_ok(os_tls_make_certificate(certificate, certificate, names, 1, now(), NULL));
    assert_ok(os_tls_pin(certificate, pin, NULL));
    buf_init(&text, 65536);
    assert_ok(os_file_read(certificate, &text, NULL));
    assert_ok(buf_append_byte(&text, 0));
    assert_non_null(strstr((const char *)text.data, "BEGIN PRIVATE KEY"));
    assert_non_null(strstr((const char *)text.data, "BEGIN CERTIFICATE"));
    buf_done(&text);
}

static void bad_input_is_refused(void **state)
{
    static const char *const bad[] = {"", "a b", "a,DNS:b", "a\nb", "\xff"};
    const char *many[OS_TLS_NAMES_MAX + 1];
    uint8_t pin[OS_TLS_PIN_SIZE] = {1};
    struct err_info info;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(os_tls_make_certificate(certificate, key, &bad[i], 1, now(), &info),
                   ERR_INVALID);
    }
    for (size_t i = 0; i <= OS_TLS_NAMES_MAX; i++) {
        many[i] = "localhost";
    }
    assert_err(os_tls_make_certificate(certificate, key, many, 0, now(), &info), ERR_INVALID);
    assert_err(os_tls_make_certificate(certificate, key, many, OS_TLS_NAMES_MAX + 1, now(), &info),
               ERR_INVALID);
    assert_err(os_tls_pin(certificate, pin, &info), ERR_NOT_FOUND);
    assert_ok(os_file_write(certificate, BYTES("nothing"), 0600, NULL));
    assert_err(os_tls_pin(certificate, pin, &info), ERR_MALFORMED);
    assert_int_equal(pin[0], 1);
    assert_int_equal(unlink(certificate), 0);
    assert_ok(os_file_write(key, BYTES("nothing"), 0600, NULL));
    assert_err(os_tls_make_certificate(certificate, key, many, 1, now(), &info), ERR_MALFORMED);
    assert_err(os_tls_make_certificate("/nowhere/a.pem", "/nowhere/a.pem", many, 1, now(), &info),
               ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_certificate_is_for_its_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_certificate_keeps_key_and_pin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_file_may_hold_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_input_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
