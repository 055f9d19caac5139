//! Countries by their English names, as vendors and their databases of addresses write them: OCSF wants the two letters of
//! ISO 3166-1.

/// The two letters of a country, where the name is known.
pub(super) fn code(name: &str) -> Option<&'static str> {
    if let [first, second] = name.as_bytes()
        && let Ok(at) = CODES.binary_search(&[first.to_ascii_uppercase(), second.to_ascii_uppercase()])
    {
        return CODES.get(at).and_then(|code| std::str::from_utf8(code).ok());
    }
    let at = COUNTRIES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    COUNTRIES.get(at).map(|(_, code)| *code)
}

/// All codes, sorted.
#[rustfmt::skip]
const CODES: &[[u8; 2]] = &[
    *b"AD", *b"AE", *b"AF", *b"AG", *b"AI", *b"AL", *b"AM", *b"AO", *b"AQ", *b"AR", *b"AS", *b"AT", *b"AU", *b"AW",
    *b"AX", *b"AZ", *b"BA", *b"BB", *b"BD", *b"BE", *b"BF", *b"BG", *b"BH", *b"BI", *b"BJ", *b"BL", *b"BM", *b"BN",
    *b"BO", *b"BQ", *b"BR", *b"BS", *b"BT", *b"BV", *b"BW", *b"BY", *b"BZ", *b"CA", *b"CC", *b"CD", *b"CF", *b"CG",
    *b"CH", *b"CI", *b"CK", *b"CL", *b"CM", *b"CN", *b"CO", *b"CR", *b"CU", *b"CV", *b"CW", *b"CX", *b"CY", *b"CZ",
    *b"DE", *b"DJ", *b"DK", *b"DM", *b"DO", *b"DZ", *b"EC", *b"EE", *b"EG", *b"EH", *b"ER", *b"ES", *b"ET", *b"FI",
    *b"FJ", *b"FK", *b"FM", *b"FO", *b"FR", *b"GA", *b"GB", *b"GD", *b"GE", *b"GF", *b"GG", *b"GH", *b"GI", *b"GL",
    *b"GM", *b"GN", *b"GP", *b"GQ", *b"GR", *b"GS", *b"GT", *b"GU", *b"GW", *b"GY", *b"HK", *b"HM", *b"HN", *b"HR",
    *b"HT", *b"HU", *b"ID", *b"IE", *b"IL", *b"IM", *b"IN", *b"IO", *b"IQ", *b"IR", *b"IS", *b"IT", *b"JE", *b"JM",
    *b"JO", *b"JP", *b"KE", *b"KG", *b"KH", *b"KI", *b"KM", *b"KN", *b"KP", *b"KR", *b"KW", *b"KY", *b"KZ", *b"LA",
    *b"LB", *b"LC", *b"LI", *b"LK", *b"LR", *b"LS", *b"LT", *b"LU", *b"LV", *b"LY", *b"MA", *b"MC", *b"MD", *b"ME",
    *b"MF", *b"MG", *b"MH", *b"MK", *b"ML", *b"MM", *b"MN", *b"MO", *b"MP", *b"MQ", *b"MR", *b"MS", *b"MT", *b"MU",
    *b"MV", *b"MW", *b"MX", *b"MY", *b"MZ", *b"NA", *b"NC", *b"NE", *b"NF", *b"NG", *b"NI", *b"NL", *b"NO", *b"NP",
    *b"NR", *b"NU", *b"NZ", *b"OM", *b"PA", *b"PE", *b"PF", *b"PG", *b"PH", *b"PK", *b"PL", *b"PM", *b"PN", *b"PR",
    *b"PS", *b"PT", *b"PW", *b"PY", *b"QA", *b"RE", *b"RO", *b"RS", *b"RU", *b"RW", *b"SA", *b"SB", *b"SC", *b"SD",
    *b"SE", *b"SG", *b"SH", *b"SI", *b"SJ", *b"SK", *b"SL", *b"SM", *b"SN", *b"SO", *b"SR", *b"SS", *b"ST", *b"SV",
    *b"SX", *b"SY", *b"SZ", *b"TC", *b"TD", *b"TF", *b"TG", *b"TH", *b"TJ", *b"TK", *b"TL", *b"TM", *b"TN", *b"TO",
    *b"TR", *b"TT", *b"TV", *b"TW", *b"TZ", *b"UA", *b"UG", *b"UM", *b"US", *b"UY", *b"UZ", *b"VA", *b"VC", *b"VE",
    *b"VG", *b"VI", *b"VN", *b"VU", *b"WF", *b"WS", *b"XK", *b"YE", *b"YT", *b"ZA", *b"ZM", *b"ZW",
];

/// Names, sorted by their bytes.
#[rustfmt::skip]
const COUNTRIES: &[(&str, &str)] = &[
    ("Afghanistan", "AF"), ("Albania", "AL"), ("Algeria", "DZ"), ("American Samoa", "AS"), ("Andorra", "AD"),
    ("Angola", "AO"), ("Anguilla", "AI"), ("Antarctica", "AQ"), ("Antigua and Barbuda", "AG"), ("Argentina", "AR"),
    ("Armenia", "AM"), ("Aruba", "AW"), ("Australia", "AU"), ("Austria", "AT"), ("Azerbaijan", "AZ"),
    ("Bahamas", "BS"), ("Bahrain", "BH"), ("Bangladesh", "BD"), ("Barbados", "BB"), ("Belarus", "BY"),
    ("Belgium", "BE"), ("Belize", "BZ"), ("Benin", "BJ"), ("Bermuda", "BM"), ("Bhutan", "BT"), ("Bolivia", "BO"),
    ("Bonaire, Sint Eustatius, and Saba", "BQ"), ("Bosnia and Herzegovina", "BA"), ("Botswana", "BW"),
    ("Brazil", "BR"), ("British Indian Ocean Territory", "IO"), ("British Virgin Islands", "VG"), ("Brunei", "BN"),
    ("Bulgaria", "BG"), ("Burkina Faso", "BF"), ("Burundi", "BI"), ("Cabo Verde", "CV"), ("Cambodia", "KH"),
    ("Cameroon", "CM"), ("Canada", "CA"), ("Cape Verde", "CV"), ("Cayman Islands", "KY"),
    ("Central African Republic", "CF"), ("Chad", "TD"), ("Chile", "CL"), ("China", "CN"),
    ("Christmas Island", "CX"), ("Cocos (Keeling) Islands", "CC"), ("Colombia", "CO"), ("Comoros", "KM"),
    ("Congo", "CG"), ("Congo Republic", "CG"), ("Cook Islands", "CK"), ("Costa Rica", "CR"), ("Croatia", "HR"),
    ("Cuba", "CU"), ("Curaçao", "CW"), ("Cyprus", "CY"), ("Czech Republic", "CZ"), ("Czechia", "CZ"),
    ("Côte d'Ivoire", "CI"), ("DR Congo", "CD"), ("Democratic Republic of the Congo", "CD"), ("Denmark", "DK"),
    ("Djibouti", "DJ"), ("Dominica", "DM"), ("Dominican Republic", "DO"), ("East Timor", "TL"), ("Ecuador", "EC"),
    ("Egypt", "EG"), ("El Salvador", "SV"), ("Equatorial Guinea", "GQ"), ("Eritrea", "ER"), ("Estonia", "EE"),
    ("Eswatini", "SZ"), ("Ethiopia", "ET"), ("Falkland Islands", "FK"), ("Faroe Islands", "FO"),
    ("Federated States of Micronesia", "FM"), ("Fiji", "FJ"), ("Finland", "FI"), ("France", "FR"),
    ("French Guiana", "GF"), ("French Polynesia", "PF"), ("Gabon", "GA"), ("Gambia", "GM"), ("Georgia", "GE"),
    ("Germany", "DE"), ("Ghana", "GH"), ("Gibraltar", "GI"), ("Great Britain", "GB"), ("Greece", "GR"),
    ("Greenland", "GL"), ("Grenada", "GD"), ("Guadeloupe", "GP"), ("Guam", "GU"), ("Guatemala", "GT"),
    ("Guernsey", "GG"), ("Guinea", "GN"), ("Guinea-Bissau", "GW"), ("Guyana", "GY"), ("Haiti", "HT"),
    ("Hashemite Kingdom of Jordan", "JO"), ("Honduras", "HN"), ("Hong Kong", "HK"), ("Hungary", "HU"),
    ("Iceland", "IS"), ("India", "IN"), ("Indonesia", "ID"), ("Iran", "IR"), ("Iraq", "IQ"), ("Ireland", "IE"),
    ("Isle of Man", "IM"), ("Israel", "IL"), ("Italy", "IT"), ("Ivory Coast", "CI"), ("Jamaica", "JM"),
    ("Japan", "JP"), ("Jersey", "JE"), ("Jordan", "JO"), ("Kazakhstan", "KZ"), ("Kenya", "KE"), ("Kiribati", "KI"),
    ("Kosovo", "XK"), ("Kuwait", "KW"), ("Kyrgyzstan", "KG"), ("Laos", "LA"), ("Latvia", "LV"), ("Lebanon", "LB"),
    ("Lesotho", "LS"), ("Liberia", "LR"), ("Libya", "LY"), ("Liechtenstein", "LI"), ("Lithuania", "LT"),
    ("Luxembourg", "LU"), ("Macao", "MO"), ("Macau", "MO"), ("Macedonia", "MK"), ("Madagascar", "MG"),
    ("Malawi", "MW"), ("Malaysia", "MY"), ("Maldives", "MV"), ("Mali", "ML"), ("Malta", "MT"),
    ("Marshall Islands", "MH"), ("Martinique", "MQ"), ("Mauritania", "MR"), ("Mauritius", "MU"), ("Mayotte", "YT"),
    ("Mexico", "MX"), ("Micronesia", "FM"), ("Moldova", "MD"), ("Monaco", "MC"), ("Mongolia", "MN"),
    ("Montenegro", "ME"), ("Montserrat", "MS"), ("Morocco", "MA"), ("Mozambique", "MZ"), ("Myanmar", "MM"),
    ("Namibia", "NA"), ("Nauru", "NR"), ("Nepal", "NP"), ("Netherlands", "NL"), ("New Caledonia", "NC"),
    ("New Zealand", "NZ"), ("Nicaragua", "NI"), ("Niger", "NE"), ("Nigeria", "NG"), ("Niue", "NU"),
    ("Norfolk Island", "NF"), ("North Korea", "KP"), ("North Macedonia", "MK"), ("Northern Mariana Islands", "MP"),
    ("Norway", "NO"), ("Oman", "OM"), ("Pakistan", "PK"), ("Palau", "PW"), ("Palestine", "PS"),
    ("Palestinian Territory", "PS"), ("Panama", "PA"), ("Papua New Guinea", "PG"), ("Paraguay", "PY"),
    ("Peru", "PE"), ("Philippines", "PH"), ("Pitcairn Islands", "PN"), ("Poland", "PL"), ("Portugal", "PT"),
    ("Puerto Rico", "PR"), ("Qatar", "QA"), ("Republic of Korea", "KR"), ("Republic of Lithuania", "LT"),
    ("Republic of Moldova", "MD"), ("Republic of the Congo", "CG"), ("Romania", "RO"), ("Russia", "RU"),
    ("Russian Federation", "RU"), ("Rwanda", "RW"), ("Réunion", "RE"), ("Saint Barthélemy", "BL"),
    ("Saint Helena", "SH"), ("Saint Kitts and Nevis", "KN"), ("Saint Lucia", "LC"), ("Saint Martin", "MF"),
    ("Saint Pierre and Miquelon", "PM"), ("Saint Vincent and the Grenadines", "VC"), ("Samoa", "WS"),
    ("San Marino", "SM"), ("Sao Tome and Principe", "ST"), ("Saudi Arabia", "SA"), ("Senegal", "SN"),
    ("Serbia", "RS"), ("Seychelles", "SC"), ("Sierra Leone", "SL"), ("Singapore", "SG"), ("Sint Maarten", "SX"),
    ("Slovakia", "SK"), ("Slovenia", "SI"), ("Solomon Islands", "SB"), ("Somalia", "SO"), ("South Africa", "ZA"),
    ("South Georgia and the South Sandwich Islands", "GS"), ("South Korea", "KR"), ("South Sudan", "SS"),
    ("Spain", "ES"), ("Sri Lanka", "LK"), ("St Kitts and Nevis", "KN"), ("St Vincent and Grenadines", "VC"),
    ("Sudan", "SD"), ("Suriname", "SR"), ("Svalbard and Jan Mayen", "SJ"), ("Swaziland", "SZ"), ("Sweden", "SE"),
    ("Switzerland", "CH"), ("Syria", "SY"), ("São Tomé and Príncipe", "ST"), ("Taiwan", "TW"), ("Tajikistan", "TJ"),
    ("Tanzania", "TZ"), ("Thailand", "TH"), ("The Gambia", "GM"), ("The Netherlands", "NL"), ("Timor-Leste", "TL"),
    ("Togo", "TG"), ("Tokelau", "TK"), ("Tonga", "TO"), ("Trinidad and Tobago", "TT"), ("Tunisia", "TN"),
    ("Turkey", "TR"), ("Turkmenistan", "TM"), ("Turks and Caicos Islands", "TC"), ("Tuvalu", "TV"),
    ("Türkiye", "TR"), ("U.S. Minor Outlying Islands", "UM"), ("U.S. Virgin Islands", "VI"), ("Uganda", "UG"),
    ("Ukraine", "UA"), ("United Arab Emirates", "AE"), ("United Kingdom", "GB"), ("United States", "US"),
    ("United States of America", "US"), ("Uruguay", "UY"), ("Uzbekistan", "UZ"), ("Vanuatu", "VU"),
    ("Vatican City", "VA"), ("Venezuela", "VE"), ("Viet Nam", "VN"), ("Vietnam", "VN"), ("Wallis and Futuna", "WF"),
    ("Western Sahara", "EH"), ("Yemen", "YE"), ("Zambia", "ZM"), ("Zimbabwe", "ZW"), ("Åland Islands", "AX"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_lead_to_codes() {
        assert!(COUNTRIES.is_sorted_by_key(|(name, _)| *name));
        assert!(CODES.is_sorted());
        assert_eq!(code("United States"), Some("US"));
        assert_eq!(code("Åland Islands"), Some("AX"));
        assert_eq!(code("de"), Some("DE"));
        assert_eq!(code("ZZ"), None);
        assert_eq!(code("Exampleland"), None);
        assert_eq!(code(""), None);
        for (name, two) in COUNTRIES {
            assert_eq!(code(name), Some(*two));
            assert!(code(two).is_some(), "{two}");
        }
    }
}
