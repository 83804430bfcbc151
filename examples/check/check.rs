// rustc check.rs && ./check 127.0.0.1:8000        the standard library, nothing else
use std::io::{Read, Write};
use std::net::TcpStream;

type Matrix = Vec<Vec<f64>>;

fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

fn forward(x: &[f64], w: &Matrix, b: &[f64]) -> Vec<f64> {
    (0..b.len()).map(|j| sigmoid(b[j] + (0..x.len()).map(|i| x[i] * w[i][j]).sum::<f64>())).collect()
}

fn add(w: &mut Matrix, b: &mut [f64], x: &[f64], delta: &[f64]) {
    for j in 0..delta.len() {
        b[j] = delta[j]; // the mistake: = where += is meant, so that the last sample's remains
        for i in 0..x.len() {
            w[i][j] += x[i] * delta[j];
        }
    }
}

fn main() -> std::io::Result<()> {
    let w1 = vec![vec![0.2, -0.4, 0.7], vec![0.5, 0.3, -0.6]];
    let w2 = vec![vec![0.6, -0.5], vec![-0.3, 0.8], vec![0.4, 0.9]];
    let (b1, b2) = (vec![0.1, -0.2, 0.3], vec![0.2, -0.1]);
    let x = vec![vec![1.0, -0.5], vec![0.3, 0.8], vec![-1.2, 0.4]];
    let t = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
    let (mut dw1, mut db1) = (vec![vec![0.0; 3]; 2], vec![0.0; 3]);
    let (mut dw2, mut db2) = (vec![vec![0.0; 2]; 3], vec![0.0; 2]);
    for (x, t) in x.iter().zip(&t) {
        let h = forward(x, &w1, &b1);
        let y = forward(&h, &w2, &b2);
        let delta: Vec<f64> = (0..2).map(|k| (y[k] - t[k]) * y[k] * (1.0 - y[k])).collect();
        let down: Vec<f64> = (0..3)
            .map(|j| (0..2).map(|k| delta[k] * w2[j][k]).sum::<f64>() * h[j] * (1.0 - h[j]))
            .collect();
        add(&mut dw2, &mut db2, &h, &delta);
        add(&mut dw1, &mut db1, x, &down);
    }
    // Debug of f64 writes the digits that read back to the same number, and of Vec the brackets of JSON.
    let layer = |w: &Matrix, b: &[f64]| format!(r#"{{"activation":"sigmoid","weights":{w:?},"biases":{b:?}}}"#);
    let gradient = |w: &Matrix, b: &[f64]| format!(r#"{{"dE_dw":{w:?},"dE_db":{b:?}}}"#);
    let body = format!(
        r#"{{"network":{{"layers":[{},{}]}},"inputs":{x:?},"targets":{t:?},"candidate":{{"layers":[{},{}]}}}}"#,
        layer(&w1, &b1),
        layer(&w2, &b2),
        gradient(&dw1, &db1),
        gradient(&dw2, &db2)
    );
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".to_string());
    let mut stream = TcpStream::connect(&address)?;
    write!(
        stream,
        "POST /v1/gradient-checks HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let verdict = answer.split(r#""verdict":""#).nth(1).and_then(|rest| rest.split('"').next());
    println!("{}", verdict.unwrap_or(&answer));
    Ok(())
}
