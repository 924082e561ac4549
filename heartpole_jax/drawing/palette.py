"""The colours of all drawings: Okabe and Ito's, distinct with every kind of colour vision."""

BLUE, SKY, VERMILLION, ORANGE = "#0072B2", "#56B4E9", "#D55E00", "#E69F00"
GREEN, PURPLE = "#009E73", "#CC79A7"
INK, GREY, PALE = "#222222", "#666666", "#C8C8C8"
