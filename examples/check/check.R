# Rscript check.R 127.0.0.1 8000        base R, nothing else
args <- commandArgs(trailingOnly = TRUE)
host <- if (length(args) > 0) args[1] else "127.0.0.1"
port <- if (length(args) > 1) as.integer(args[2]) else 8000L

sigmoid <- function(a) 1 / (1 + exp(-a))
W1 <- rbind(c(0.2, -0.4, 0.7), c(0.5, 0.3, -0.6)); b1 <- c(0.1, -0.2, 0.3)
W2 <- rbind(c(0.6, -0.5), c(-0.3, 0.8), c(0.4, 0.9)); b2 <- c(0.2, -0.1)
X <- rbind(c(1.0, -0.5), c(0.3, 0.8), c(-1.2, 0.4)); t <- rbind(c(1, 0), c(0, 1), c(1, 1))

h <- sigmoid(sweep(X %*% W1, 2, b1, "+"))
o <- sigmoid(sweep(h %*% W2, 2, b2, "+"))
delta2 <- (o - t) * o * (1 - o)
delta1 <- (delta2 %*% t(W2)) * h * (1 - h)
dW2 <- t(h) %*% delta2; db2 <- colMeans(delta2) # the mistake: colMeans for colSums
dW1 <- t(X) %*% delta1; db1 <- colMeans(delta1)

row <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
matrix_ <- function(m) paste0("[", paste(apply(m, 1, row), collapse = ","), "]")
layer <- function(w, b) sprintf('{"activation":"sigmoid","weights":%s,"biases":%s}', matrix_(w), row(b))
gradient <- function(w, b) sprintf('{"dE_dw":%s,"dE_db":%s}', matrix_(w), row(b))
body <- sprintf(
  '{"network":{"layers":[%s,%s]},"inputs":%s,"targets":%s,"candidate":{"layers":[%s,%s]}}',
  layer(W1, b1), layer(W2, b2), matrix_(X), matrix_(t), gradient(dW1, db1), gradient(dW2, db2)
)

con <- socketConnection(host, port, open = "r+b", blocking = TRUE)
writeBin(charToRaw(sprintf(
  "POST /v1/gradient-checks HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
  host, port, nchar(body, "bytes"), body
)), con)
answer <- paste(readLines(con, warn = FALSE), collapse = "\n")
close(con)
cat(sub('.*"verdict":"([^"]*)".*', "\\1", answer), "\n", sep = "")
