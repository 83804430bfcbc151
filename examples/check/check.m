% octave check.m, or check in MATLAB        with curl on the PATH; CHAINRULE_URL may name another address
url = getenv("CHAINRULE_URL");
if isempty(url)
  url = 'http://127.0.0.1:8000';
end
sigmoid = @(a) 1 ./ (1 + exp(-a));
W1 = [0.2 -0.4 0.7; 0.5 0.3 -0.6];  b1 = [0.1 -0.2 0.3];
W2 = [0.6 -0.5; -0.3 0.8; 0.4 0.9]; b2 = [0.2 -0.1];
X = [1.0 -0.5; 0.3 0.8; -1.2 0.4];  T = [1 0; 0 1; 1 1];

h = sigmoid(X * W1 + b1);
o = sigmoid(h * W2 + b2);
delta2 = (o - T) .* o .* (1 - o);
dW2 = h' * delta2;  db2 = sum(delta2, 1);
W2_new = W2 - 0.1 * dW2;
delta1 = (delta2 * W2_new') .* h .* (1 - h);    % the mistake: W2 is updated already
dW1 = X' * delta1;  db1 = sum(delta1, 1);

row = @(x) ['[' strjoin(arrayfun(@(v) sprintf('%.17g', v), x, 'UniformOutput', false), ',') ']'];
mat = @(m) ['[' strjoin(cellfun(row, num2cell(m, 2)', 'UniformOutput', false), ',') ']'];
layer = @(w, b) ['{"activation":"sigmoid","weights":' mat(w) ',"biases":' row(b) '}'];
gradient_ = @(w, b) ['{"dE_dw":' mat(w) ',"dE_db":' row(b) '}'];
body = ['{"network":{"layers":[' layer(W1, b1) ',' layer(W2, b2) ']},"inputs":' mat(X) ',"targets":' mat(T) ...
        ',"candidate":{"layers":[' gradient_(dW1, db1) ',' gradient_(dW2, db2) ']}}'];

name = [tempname() '.json'];
file = fopen(name, 'w');  fprintf(file, '%s', body);  fclose(file);
[status, answer] = system(['curl -s -H "Content-Type: application/json" --data-binary @' name ' ' url '/v1/gradient-checks']);
delete(name);
verdict = regexp(answer, '"verdict":"([^"]*)"', 'tokens');
disp(verdict{1}{1});
