// Package templates holds the beginnings of new plugins: programs that build and pass the conformance suite unchanged,
// with marks where their author begins.
package templates

import "embed"

// FS has a folder for each template, which is called <language>-<kind>, and of a product over OCR2
// <language>-product-ocr2. A file whose name ends in .tmpl is a
// text/template of what the new plugin is called. Every other file is code as it stands, which this module builds and
// tests, too.
//
//go:embed all:go-* all:python-*
var FS embed.FS
