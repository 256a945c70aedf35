# The oracle of tests/test_survey.py: Rscript tests/data/survey_oracle.R tests/data
# Data: `api` of the R package survey (Lumley; GPL-2 | GPL-3), Academic Performance Index of California schools, 1999-2000;
# only the columns used are written.
suppressMessages(library(survey))
out <- commandArgs(trailingOnly = TRUE)[1]
data(api)
keep <- c("stype", "cnum", "dnum", "api99", "api00", "enroll", "api.stu", "pw", "fpc")
write_csv <- function(x, name) write.csv(x, file.path(out, name), row.names = FALSE, quote = FALSE)
write_csv(apistrat[keep], "apistrat.csv")
write_csv(apiclus1[keep], "apiclus1.csv")

rows <- list()
note <- function(name, x, key = "") {
  est <- as.numeric(coef(x)); se <- as.numeric(SE(x))
  rows[[length(rows) + 1]] <<- data.frame(name = name, key = key, estimate = sprintf("%.15g", est), se = sprintf("%.15g", se))
}
s <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat, fpc = ~fpc)
s0 <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat)
for (d in list(list("fpc", s), list("nofpc", s0))) {
  note(paste("total enroll", d[[1]]), svytotal(~enroll, d[[2]]))
  note(paste("mean api00", d[[1]]), svymean(~api00, d[[2]]))
  note(paste("ratio api.stu enroll", d[[1]]), svyratio(~api.stu, ~enroll, d[[2]]))
  t <- svyby(~api.stu, ~cnum, d[[2]], svytotal)
  note(paste("total api.stu by cnum", d[[1]]), t, t$cnum)
  r <- svyby(~api.stu, ~cnum, denominator = ~enroll, d[[2]], svyratio)
  note(paste("ratio api.stu enroll by cnum", d[[1]]), r, r$cnum)
}
sep <- svyratio(~api.stu, ~enroll, s, separate = TRUE)
pop_enroll <- tapply(apipop$enroll, apipop$stype, sum, na.rm = TRUE)
for (h in names(sep$ratios)) note("separate ratio api.stu enroll fpc", sep$ratios[[h]], h)
p <- predict(sep, total = as.list(pop_enroll))
rows[[length(rows) + 1]] <- data.frame(name = "separate ratio total api.stu fpc", key = "", estimate = sprintf("%.15g", p$total), se = sprintf("%.15g", p$se))
p <- predict(svyratio(~api.stu, ~enroll, s), total = sum(pop_enroll))
rows[[length(rows) + 1]] <- data.frame(name = "combined ratio total api.stu fpc", key = "", estimate = sprintf("%.15g", p$total), se = sprintf("%.15g", p$se))

X <- model.matrix(~stype + api99, apipop)
pop <- colSums(X)
write_csv(data.frame(name = c(names(pop), paste0("enroll", names(pop_enroll))), total = sprintf("%.15g", c(pop, pop_enroll))), "apipop_totals.csv")
for (d in list(list("fpc", s), list("nofpc", s0))) {
  g <- calibrate(d[[2]], ~stype + api99, pop)
  note(paste("greg total api.stu", d[[1]]), svytotal(~api.stu, g))
  t <- svyby(~api.stu, ~cnum, g, svytotal)
  note(paste("greg total api.stu by cnum", d[[1]]), t, t$cnum)
  note(paste("raking total api.stu", d[[1]]), svytotal(~api.stu, calibrate(d[[2]], ~stype + api99, pop, calfun = "raking")))
}
note("greg enroll-1 total api.stu", svytotal(~api.stu, calibrate(s, ~enroll - 1, c(enroll = sum(pop_enroll)), variance = 1)))

c1 <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc)
note("cluster total enroll", svytotal(~enroll, c1))
note("cluster ratio api.stu enroll", svyratio(~api.stu, ~enroll, c1))

# Thin strata: three strata keep one school each
lone <- apistrat[c(which(apistrat$stype == "E")[1:40], which(apistrat$stype == "H")[1], which(apistrat$stype == "M")[1]), ]
for (policy in c("adjust", "certainty", "average")) {
  options(survey.lonely.psu = policy)
  l <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = lone)
  note(paste("lonely", policy, "total enroll"), svytotal(~enroll, l))
  note(paste("lonely", policy, "ratio api.stu enroll"), svyratio(~api.stu, ~enroll, l))
}

# Unequal probabilities without replacement
options(survey.lonely.psu = "fail")
u <- apistrat[apistrat$stype != "E", ]
u$p <- 1 / u$pw * u$enroll / ave(u$enroll, u$stype)
write_csv(data.frame(p = sprintf("%.15g", u$p)), "api_pps.csv")
b <- svydesign(id = ~1, fpc = ~p, strata = ~stype, data = u, pps = "brewer")
note("pps brewer total api.stu", svytotal(~api.stu, b))
note("pps brewer ratio api.stu enroll", svyratio(~api.stu, ~enroll, b))
w <- svydesign(id = ~1, probs = ~p, strata = ~stype, data = u)
note("pps wr total api.stu", svytotal(~api.stu, w))
note("pps wr ratio api.stu enroll", svyratio(~api.stu, ~enroll, w))
write_csv(do.call(rbind, rows), "survey_oracle.csv")
