/* cc check.c -lm -o check && ./check 127.0.0.1 8000        POSIX sockets, nothing else */
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { S = 3, I = 2, H = 3, O = 2 }; /* samples, inputs, hidden units, outputs */

static double W1[I][H] = {{0.2, -0.4, 0.7}, {0.5, 0.3, -0.6}}, b1[H] = {0.1, -0.2, 0.3};
static double W2[H][O] = {{0.6, -0.5}, {-0.3, 0.8}, {0.4, 0.9}}, b2[O] = {0.2, -0.1};
static double X[S][I] = {{1.0, -0.5}, {0.3, 0.8}, {-1.2, 0.4}}, T[S][O] = {{1, 0}, {0, 1}, {1, 1}};
static double dW1[I][H], db1[H], dW2[H][O], db2[O];

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

static void backprop(void) {
    for (int s = 0; s < S; s++) {
        double h[H], y[O], delta[O];
        for (int j = 0; j < H; j++) {
            h[j] = b1[j];
            for (int i = 0; i < I; i++) h[j] += X[s][i] * W1[i][j];
            h[j] = sigmoid(h[j]);
        }
        for (int k = 0; k < O; k++) {
            y[k] = b2[k];
            for (int j = 0; j < H; j++) y[k] += h[j] * W2[j][k];
            y[k] = sigmoid(y[k]);
            delta[k] = (y[k] - T[s][k]) * y[k] * (1 - y[k]);
            db2[k] += delta[k];
            for (int j = 0; j < H; j++) dW2[j][k] += h[j] * delta[k];
        }
        for (int j = 0; j < H; j++) {
            double down = 0;
            for (int k = 0; k < O; k++) down = delta[k] * W2[j][k]; /* the mistake: = where += is meant */
            down *= h[j] * (1 - h[j]);
            db1[j] += down;
            for (int i = 0; i < I; i++) dW1[i][j] += X[s][i] * down;
        }
    }
}

static char body[8192];

static void put(const char *text) { strcat(body, text); }

static void put_row(const double *row, int n) {
    for (int i = 0; i < n; i++) sprintf(body + strlen(body), "%s%.17g", i ? "," : "[", row[i]);
    put("]");
}

static void put_matrix(const double *m, int rows, int n) {
    for (int i = 0; i < rows; i++) {
        put(i ? "," : "[");
        put_row(m + i * n, n);
    }
    put("]");
}

static void write_request(void) {
    put("{\"network\":{\"layers\":[{\"activation\":\"sigmoid\",\"weights\":");
    put_matrix(W1[0], I, H), put(",\"biases\":"), put_row(b1, H);
    put("},{\"activation\":\"sigmoid\",\"weights\":");
    put_matrix(W2[0], H, O), put(",\"biases\":"), put_row(b2, O);
    put("}]},\"inputs\":"), put_matrix(X[0], S, I), put(",\"targets\":"), put_matrix(T[0], S, O);
    put(",\"loss\":\"half_squared_error\",\"candidate\":{\"layers\":[{\"dE_dw\":");
    put_matrix(dW1[0], I, H), put(",\"dE_db\":"), put_row(db1, H), put("},{\"dE_dw\":");
    put_matrix(dW2[0], H, O), put(",\"dE_db\":"), put_row(db2, O), put("}]}}");
}

int main(int argc, char **argv) {
    const char *host = argc > 1 ? argv[1] : "127.0.0.1", *port = argc > 2 ? argv[2] : "8000";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    static char answer[65536];
    backprop();
    write_request();
    if (getaddrinfo(host, port, &hints, &found)) return 1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen)) return 1;
    dprintf(fd, "POST /v1/gradient-checks HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n", host, port);
    dprintf(fd, "Content-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body), body);
    size_t length = 0;
    for (ssize_t n; (n = read(fd, answer + length, sizeof answer - 1 - length)) > 0;) length += (size_t)n;
    close(fd);
    char *verdict = strstr(answer, "\"verdict\":\"");
    if (!verdict) return fputs(answer, stderr), 1;
    verdict += strlen("\"verdict\":\"");
    printf("%.*s\n", (int)strcspn(verdict, "\""), verdict);
    return 0;
}
