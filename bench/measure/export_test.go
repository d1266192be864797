package measure

var Quantile = quantile
