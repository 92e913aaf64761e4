// Command loop-ocr3-median serves the median over OCR3 to the node that starts it.
package main

import (
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/plugins/examples/ocr3median"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

func main() {
	productv1loop.ServeProduct(func(h *loop.Host) productv1loop.ProductService { return ocr3median.New(h) })
}
