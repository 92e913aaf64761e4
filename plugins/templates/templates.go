// Package templates holds the beginnings of new plugins: programs that build and pass the conformance suite unchanged,
// with marks where their author begins.
package templates

import "embed"

// FS has a folder for each template, which is called <language>-<kind>, or <language>-product-ocr2 for a product over
// OCR2. A file whose name ends in .tmpl is a text/template that is executed with the names of the new plugin. Every
// other file is Go code that is copied as it is, and which this module builds and tests, too.
//
//go:embed all:go-* all:python-*
var FS embed.FS
