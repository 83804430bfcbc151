// The API reference: Swagger UI over our own OpenAPI document. Nothing is fetched from elsewhere.
"use strict";

document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

window.SwaggerUIBundle({
  url: document.getElementById("reference").dataset.document,
  dom_id: "#reference",
  deepLinking: true, // the address names the operation that is open
  docExpansion: "list",
  defaultModelsExpandDepth: 0, // hundreds of schemas: their list opens on demand
  defaultModelExpandDepth: 3,
  displayRequestDuration: true,
  validatorUrl: null, // else a badge is asked of a server elsewhere
});
